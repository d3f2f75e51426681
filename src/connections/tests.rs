use super::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const CAPS: Caps = Caps { total: 100, per_client: 100, descriptors: 1000 };

fn client(last: u8) -> Option<IpAddr> {
    Some([192, 0, 2, last].into())
}

/// A request that is whole, if there is room for it.
fn request(place: &Place, client: Option<IpAddr>) -> Result<Serving, Full> {
    let mut serving = place.begin(client)?;
    serving.whole()?;
    Ok(serving)
}

fn connections() -> Arc<Connections> {
    Arc::default()
}

fn is_closed(place: &Place) -> bool {
    place.is_closing()
}

fn count(connections: &Connections, full: Full) -> (usize, usize) {
    let found = connections.counts().find(|(of, ..)| *of == full);
    found.map(|(_, closed, refused)| (closed, refused)).expect("a count")
}

#[test]
fn the_connection_that_is_idle_longest_makes_room() {
    let connections = connections();
    let caps = Caps { total: 3, ..CAPS };
    let enter = || connections.enter(client(1), false, caps);
    let [first, second, third] = [enter(), enter(), enter()].map(|place| place.expect("a place"));
    // The first one had a request since.
    drop(request(&first, None).expect("a request"));
    let _busy = request(&third, None).expect("a request");
    let fourth = enter().expect("a place");
    assert!(is_closed(&second) && ![&first, &third, &fourth].into_iter().any(is_closed));
    assert!(request(&second, None).is_err(), "no request begins on it any more");
    let fifth = enter().expect("a place");
    assert!(is_closed(&first) && !is_closed(&third));
    let _others = [request(&fourth, None), request(&fifth, None)].map(|serving| serving.expect("a request"));
    assert_eq!(enter().expect_err("all are busy"), Full::Total);
    assert_eq!((connections.open_count(), count(&connections, Full::Total)), (3, (2, 1)));
    drop(third);
    assert_eq!(connections.open_count(), 3, "a request holds its connection");
}

#[test]
fn a_client_makes_room_for_itself_and_an_ipv6_network_is_one_client() {
    let connections = connections();
    let caps = Caps { per_client: 2, ..CAPS };
    let enter = |address: &str, is_exempt| {
        connections.enter(Some(address.parse().expect("an address")), is_exempt, caps).expect("a place")
    };
    let other = enter("192.0.2.1", false);
    let six = [enter("2001:db8::1", false), enter("2001:db8::2", false)];
    let _third = enter("2001:db8::3", false);
    assert!(is_closed(&six[0]) && !is_closed(&six[1]) && !is_closed(&other));
    let proxy: Vec<_> = (0..10).map(|_| enter("192.0.2.9", true)).collect();
    assert!(!proxy.iter().any(is_closed), "a trusted proxy stands for many clients");
    assert_eq!(count(&connections, Full::Client), (1, 0));
}

#[test]
fn when_all_are_taken_the_client_with_most_idle_ones_makes_room() {
    let connections = connections();
    let caps = Caps { total: 12, ..CAPS };
    let first = connections.enter(client(1), false, caps).expect("a place");
    let mut others: Vec<_> = (0..11).map(|_| connections.enter(client(2), false, caps).expect("a place")).collect();
    for _ in 0..8 {
        others.push(connections.enter(client(3), false, caps).expect("a place"));
        others.retain(|place| !is_closed(place));
    }
    assert!(!is_closed(&first), "it is idle longest, but alone");
    assert_eq!((others.len(), connections.open_count(), count(&connections, Full::Total)), (11, 12, (8, 0)));
}

#[test]
fn requests_need_descriptors_too_and_no_client_takes_all() {
    let connections = connections();
    let caps = Caps { descriptors: 20, ..CAPS };
    let enter = |who: u8| connections.enter(client(who), false, caps);
    let places: Vec<_> = (0..16).map(|_| enter(1).expect("a place")).collect();
    let serving: Vec<_> = places.iter().filter_map(|place| request(place, None).ok()).collect();
    let open = connections.open_count();
    assert!(open + serving.len() <= most_of_one(20), "{open} connections, {} requests", serving.len());
    let other = enter(2).expect("there is room for another client");
    let _serving = request(&other, None).expect("and for its request");
    assert!(connections.open_count() + connections.requests.load(Ordering::Relaxed) <= 20);
    drop((serving, places));
    assert_eq!((connections.open_count(), connections.requests.load(Ordering::Relaxed)), (1, 1), "all is given back");
    assert_eq!(connections.table().of_client.len(), 1);
}

#[test]
fn who_sends_a_request_slowly_makes_room_when_nobody_is_idle() {
    let connections = connections();
    let caps = Caps { total: 4, ..CAPS };
    let enter = |who| connections.enter(client(who), false, caps).expect("a place");
    let places = [enter(1), enter(1), enter(2), enter(3)];
    let _sending: Vec<_> = places[..3].iter().map(|place| place.begin(None).expect("a request")).collect();
    let mut served = Vec::new();
    // First who is idle, then of those who send most the one that does it longest.
    for closed in [[false, false, false, true], [true, false, false, true], [true, true, false, true], [true; 4]] {
        let place = enter(4);
        assert_eq!(places.each_ref().map(is_closed), closed);
        served.push(request(&place, None).expect("a request"));
    }
    drop(places);
    assert_eq!(connections.enter(client(5), false, caps).expect_err("all are served"), Full::Total);
}

#[test]
fn who_takes_no_response_makes_room_when_nobody_else_does() {
    let connections = connections();
    let caps = Caps { total: 3, ..CAPS };
    let enter = |who| connections.enter(client(who), false, caps).expect("a place");
    let [first, second, third] = [1, 2, 3].map(enter);
    let _served = [&first, &second].map(|place| request(place, None).expect("a request"));
    let _untaken = first.untaken();
    // A body that does not come, and a response that is not taken, on one connection.
    let _more = first.begin(None).expect("a request");
    let fourth = enter(4);
    assert_eq!([&first, &second, &third].map(is_closed), [false, false, true]);
    let _served = request(&fourth, None).expect("a request");
    let _fifth = enter(5);
    assert_eq!([&first, &second, &fourth].map(is_closed), [true, false, false]);
}

#[test]
fn beyond_the_cap_on_requests_no_idle_connection_is_closed_in_vain() {
    let connections = connections();
    let caps = Caps { total: 2, ..CAPS };
    let place = connections.enter(client(1), false, caps).expect("a place");
    let idle = connections.enter(client(2), false, caps).expect("a place");
    let _served = [(); 2].map(|()| request(&place, None).expect("a request"));
    assert_eq!(request(&place, None).expect_err("two are all"), Full::Total);
    assert!(!is_closed(&idle));
}

#[test]
fn what_was_closing_is_counted_to_its_end_whoever_else_comes_and_goes() {
    let connections = connections();
    let caps = Caps { total: 8, per_client: 8, ..CAPS };
    std::thread::scope(|scope| {
        for who in 0..4 {
            let connections = &connections;
            scope.spawn(move || {
                for _ in 0..5_000 {
                    // They are the longest idle just when they go.
                    let places: Vec<_> = (0..3).map(|_| connections.enter(client(who), false, caps)).collect();
                    drop(places);
                }
            });
        }
    });
    assert_eq!((connections.closing.load(Ordering::Relaxed), connections.open_count()), (0, 0));
}

#[test]
fn a_request_whose_connection_made_room_meanwhile_is_not_served() {
    let connections = connections();
    let caps = Caps { total: 1, ..CAPS };
    let first = connections.enter(client(1), false, caps).expect("a place");
    let mut coming = first.begin(None).expect("a request");
    let _second = connections.enter(client(2), false, caps).expect("a place");
    assert_eq!(coming.whole(), Err(Full::Total));
}

#[test]
fn requests_count_over_http2_and_behind_proxies_too() {
    let connections = connections();
    let caps = Caps { per_client: 3, total: 8, ..CAPS };
    // Streams of one connection.
    let one = connections.enter(client(1), false, caps).expect("a place");
    let streams: Vec<_> = (0..5).map(|_| request(&one, client(1))).collect();
    assert_eq!(streams.iter().filter(|stream| stream.is_ok()).count(), 3);
    // Clients behind a trusted proxy, whichever connection of it they come over.
    let proxy: Vec<_> = (0..2).map(|_| connections.enter(client(9), true, caps).expect("a place")).collect();
    let from = |who| proxy.iter().cycle().take(4).map(|place| request(place, client(who))).collect::<Vec<_>>();
    let (second, third) = (from(2), from(3));
    assert_eq!(second.iter().filter(|stream| stream.is_ok()).count(), 3);
    assert_eq!(third.iter().filter(|stream| stream.is_ok()).count(), 2, "eight in all");
    drop((second, third, streams));
    assert_eq!(connections.requests.load(Ordering::Relaxed), 0);
    assert!(connections.behind_proxies.lock().expect("not poisoned").is_empty());
    assert!(request(&proxy[0], client(2)).is_ok());
}

#[test]
fn connections_of_a_proxy_count_as_those_of_who_sends_over_them() {
    let connections = connections();
    let caps = Caps { total: 4, ..CAPS };
    let proxy: Vec<_> = (0..4).map(|_| connections.enter(client(9), true, caps).expect("a place")).collect();
    let senders = [5, 6, 6, 6];
    let _sending: Vec<_> =
        proxy.iter().zip(senders).map(|(place, who)| place.begin(client(who)).expect("a request")).collect();
    let _next = connections.enter(client(9), true, caps).expect("a place");
    assert_eq!(proxy.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false, false]);
}

#[tokio::test]
async fn a_connection_learns_that_it_is_to_be_closed_before_and_while_it_waits() {
    let connections = connections();
    let caps = Caps { total: 1, ..CAPS };
    let first = connections.enter(client(1), false, caps).expect("a place");
    let waiting = tokio::spawn({
        let first = first.clone();
        async move { making_room(Some(&first)).await }
    });
    tokio::task::yield_now().await;
    let second = connections.enter(client(1), false, caps).expect("a place");
    waiting.await.expect("told");
    let _third = connections.enter(client(1), false, caps).expect("a place");
    making_room(Some(&second)).await;
}

#[test]
fn while_too_many_are_still_closing_new_ones_are_not_taken() {
    let connections = connections();
    let caps = Caps { per_client: 2, ..CAPS };
    let enter = || connections.enter(client(1), false, caps);
    let closing: Vec<_> = (0..2 + caps.closing_at_once()).map(|_| enter().expect("a place")).collect();
    assert_eq!(enter().expect_err("their descriptors are not free yet"), Full::Client);
    assert!(connections.enter(client(2), false, caps).is_ok(), "another client needs no room to be made");
    drop(closing);
    enter().expect("all are free");
    assert_eq!(connections.closing.load(Ordering::Relaxed), 0);
}
