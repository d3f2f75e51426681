use super::*;

const CAPS: Caps = Caps { total: 100, per_client: 100, descriptors: 1000 };

fn client(last: u8) -> Option<IpAddr> {
    Some([192, 0, 2, last].into())
}

fn connections() -> Arc<Connections> {
    Arc::default()
}

fn is_closed(place: &Place) -> bool {
    place.0.entry.state().is_closing
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
    drop(first.begin().expect("a request"));
    let _busy = third.begin().expect("a request");
    let fourth = enter().expect("a place");
    assert!(is_closed(&second) && ![&first, &third, &fourth].into_iter().any(is_closed));
    assert!(second.begin().is_err(), "no request begins on it any more");
    let fifth = enter().expect("a place");
    assert!(is_closed(&first) && !is_closed(&third));
    let _others = [fourth.begin(), fifth.begin()].map(|serving| serving.expect("a request"));
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
    let serving: Vec<_> = places.iter().filter_map(|place| place.begin().ok()).collect();
    let open = connections.open_count();
    assert!(open + serving.len() <= most_of_one(20), "{open} connections, {} requests", serving.len());
    let other = enter(2).expect("there is room for another client");
    let _serving = other.begin().expect("and for its request");
    assert!(connections.open_count() + connections.requests.load(Ordering::Relaxed) <= 20);
    drop((serving, places));
    assert_eq!((connections.open_count(), connections.requests.load(Ordering::Relaxed)), (1, 1), "all is given back");
    assert_eq!(connections.table().of_client.len(), 1);
}

#[tokio::test]
async fn a_connection_learns_that_it_is_to_be_closed_before_and_while_it_waits() {
    let connections = connections();
    let caps = Caps { total: 1, ..CAPS };
    let first = connections.enter(client(1), false, caps).expect("a place");
    let waiting = tokio::spawn({
        let first = first.clone();
        async move { first.closing().await }
    });
    tokio::task::yield_now().await;
    let second = connections.enter(client(1), false, caps).expect("a place");
    waiting.await.expect("told");
    let _third = connections.enter(client(1), false, caps).expect("a place");
    second.closing().await;
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
