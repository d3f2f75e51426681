//! Several gateways, a ledger and hundreds of clients, with a clock that only the simulation moves: what is spent beyond a budget
//! stays within what the design promises, and nearly all of it can be used.

mod gateway;
mod world;

use world::{Change, Scenario, Spent, World};

const DOLLAR: i64 = 1_000_000_000;
const SECOND: u64 = 1_000;

fn usual(gateways: usize) -> Scenario {
    let start = (0..gateways).map(|_| (0, Change::Start)).collect();
    Scenario { clients: 200, tokens: 3, budget: 50 * DOLLAR, places: 1_000, changes: start, lasts: 600 * SECOND }
}

/// Runs ten seeds and checks each budget of each. Returns how many requests of a token there were at one time.
fn run(name: &str, scenario: &Scenario) -> i64 {
    let (mut overspent, mut least_used, mut most_at_once) = (Vec::new(), f64::MAX, 0);
    for seed in 0..10 {
        let world = World::run(scenario, seed);
        for (token, spent) in world.spent().into_iter().enumerate() {
            let Spent { actual, counted, promised, unreported } = spent;
            let over = actual - scenario.budget;
            assert!(over <= promised + unreported, "{name}, seed {seed}, token {token}: {over} over {spent:?}");
            // What the ledger has is what the requests used, but for those of gateways that were killed.
            assert!((counted - actual).abs() <= unreported, "{name}, seed {seed}, token {token}: {spent:?}");
            // What a gateway held that was killed is charged, and so used.
            least_used = (actual.max(counted) as f64 / scenario.budget as f64).min(least_used);
            overspent.push(over as f64 / DOLLAR as f64);
        }
        most_at_once = most_at_once.max(world.most_at_once);
        assert_eq!(world.held(), 0, "{name}, seed {seed}");
    }
    overspent.sort_by(f64::total_cmp);
    let (median, worst) = (overspent[overspent.len() / 2], overspent[overspent.len() - 1]);
    println!("{name}: overspent {median:.2} (median), {worst:.2} (worst); used at least {:.1} %", least_used * 100.0);
    assert!(least_used >= 0.95, "{name}: {least_used}");
    assert!(most_at_once <= scenario.places, "{name}: {most_at_once} at one time");
    most_at_once
}

#[test]
fn budgets_hold_and_are_used_with_one_gateway() {
    run("one gateway", &usual(1));
}

#[test]
fn budgets_hold_and_are_used_with_two_gateways() {
    run("two gateways", &usual(2));
}

#[test]
fn budgets_hold_and_are_used_with_four_gateways() {
    run("four gateways", &usual(4));
}

#[test]
fn budgets_hold_across_an_upgrade() {
    let mut scenario = usual(1);
    scenario.changes.extend([(100 * SECOND, Change::Start), (104 * SECOND, Change::Drain(0))]);
    scenario.changes.extend([(160 * SECOND, Change::Start), (161 * SECOND, Change::Drain(1))]);
    run("two upgrades", &scenario);
}

#[test]
fn budgets_hold_when_a_gateway_is_killed() {
    let mut scenario = usual(1);
    scenario.changes.extend([(100 * SECOND, Change::Kill(0)), (102 * SECOND, Change::Start)]);
    run("killed", &scenario);
    let mut scenario = usual(3);
    scenario.changes.extend([(100 * SECOND, Change::Kill(1)), (102 * SECOND, Change::Start)]);
    run("one of three killed", &scenario);
}

#[test]
fn budgets_hold_when_a_gateway_does_not_reach_the_ledger_for_a_while() {
    let mut scenario = usual(3);
    scenario
        .changes
        .extend([(80 * SECOND, Change::Away(0, 10 * SECOND)), (120 * SECOND, Change::Away(1, 90 * SECOND))]);
    run("away", &scenario);
}

#[test]
fn there_are_never_more_requests_than_places() {
    for gateways in [1, 3] {
        let scenario = Scenario { places: 8, clients: 60, budget: 5 * DOLLAR, ..usual(gateways) };
        let at_once = run(&format!("8 places, {gateways} gateways"), &scenario);
        assert_eq!(at_once, 8, "all of them were used");
    }
}
