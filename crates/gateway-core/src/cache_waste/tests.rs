//! Made conversations with a simulated prompt cache, and what was lost in each.

#[path = "../../../../tests/harness/src/prompt_cache.rs"]
#[allow(missing_docs, unreachable_pub, dead_code, reason = "it is the harness's")]
mod prompt_cache;
mod talk;

use super::Cause::{
    Compaction, HistoryChanged, Idle, KeyChanged, ModelChanged, RulesChanged, SystemChanged, ToolsChanged, Unexplained,
    UpstreamChanged,
};
use super::{Cause, without_loss};
use crate::usage::summary::Tokens;
use talk::{MINUTE, Talk, set};

/// What happens, and then what was lost: the cause, the tokens, and dollars at 6.25 (an hour: 10) to write and 0.50 to read.
type Case = (&'static str, fn(&mut Talk), &'static [(Cause, u64, &'static str)]);

/// A talk begins with tools of 10,000 tokens, a system prompt of 5,000, and a first message of 2,000. Each reply has 500, and
/// each further message 1,000. So 17,000 tokens are in the cache after the first request, and 1,500 more after each further.
#[rustfmt::skip]
const CASES: &[Case] = &[
    ("the first request of a session loses nothing", |talk| { talk.ask(); }, &[]),
    ("a conversation that goes on loses nothing", |talk| { talk.ask_times(5); }, &[]),
    ("a pause just within five minutes loses nothing", |talk| { talk.ask().after(5 * MINUTE - 1_000).ask(); }, &[]),
    ("a pause of more than five minutes loses all",
        |talk| { talk.ask().pause(6 * MINUTE).ask(); }, &[(Idle, 17_000, "0.097750000")]),
    ("what was lost is written, and is there again",
        |talk| { talk.ask().pause(6 * MINUTE).ask().ask(); }, &[(Idle, 17_000, "0.097750000")]),
    ("two long pauses lose twice",
        |talk| { talk.ask().pause(6 * MINUTE).ask().pause(7 * MINUTE).ask(); },
        &[(Idle, 17_000, "0.097750000"), (Idle, 18_500, "0.106375000")]),
    ("each use keeps the cache alive", |talk| { for _ in 0..5 { talk.ask().pause(4 * MINUTE); } }, &[]),
    ("a cache of an hour outlives half an hour", |talk| { talk.hour().ask().pause(30 * MINUTE).ask(); }, &[]),
    ("just within the hour nothing is lost", |talk| { talk.hour().ask().after(60 * MINUTE - 1_000).ask(); }, &[]),
    ("beyond the hour all of it is lost, at the price of an hour",
        |talk| { talk.hour().ask().pause(61 * MINUTE).ask(); }, &[(Idle, 17_000, "0.161500000")]),
    ("of a head kept for an hour only the messages go after ten minutes",
        |talk| { talk.hour_for_head().ask().ask().pause(10 * MINUTE).ask(); }, &[(Idle, 3_500, "0.020125000")]),
    ("an hour that was asked for and not given ends after five minutes",
        |talk| { talk.gives_five_minutes = true; talk.hour().ask().pause(10 * MINUTE).ask(); },
        &[(Idle, 17_000, "0.097750000")]),
    ("an upstream that tells no details is idle by what was asked for",
        |talk| { talk.tells_details = false; talk.hour().ask().pause(61 * MINUTE).ask(); },
        &[(Idle, 17_000, "0.097750000")]),
    ("another upstream has nothing of it",
        |talk| { talk.ask().at("b").ask(); }, &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("and back again: what the first one had, it still has",
        |talk| { talk.ask().at("b").ask().at("a").ask(); },
        &[(UpstreamChanged, 17_000, "0.097750000"), (UpstreamChanged, 1_500, "0.008625000")]),
    ("beyond the time to live it does not matter where it went",
        |talk| { talk.ask().pause(6 * MINUTE).at("b").ask(); }, &[(Idle, 17_000, "0.097750000")]),
    ("another key of the same upstream is another account",
        |talk| { talk.ask().with_key("second").ask(); }, &[(KeyChanged, 17_000, "0.097750000")]),
    ("an upstream and a key that both change are told as the upstream",
        |talk| { talk.ask().at("b").with_key("second").ask(); }, &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("another model has a cache of its own",
        |talk| { talk.ask(); talk.model = "claude-sonnet-5"; talk.ask(); }, &[(ModelChanged, 17_000, "0.039100000")]),
    ("a model and back within five minutes",
        |talk| { talk.ask(); talk.model = "claude-sonnet-5"; talk.ask(); talk.model = "claude-opus-5"; talk.ask(); },
        &[(ModelChanged, 17_000, "0.039100000"), (ModelChanged, 1_500, "0.008625000")]),
    ("a model that is only written otherwise is the same one",
        |talk| { talk.ask(); talk.answers_as = Some("claude-opus-5-20260401"); talk.ask(); }, &[]),
    ("a rule that a reload adds makes another system prompt",
        |talk| { talk.ask(); talk.rule("prompt", |body| set(body, "/system/0/text", "1000:by rule")); talk.ask(); },
        &[(RulesChanged, 7_000, "0.040250000")]),
    ("a rule that was there all along loses nothing",
        |talk| { talk.rule("prompt", |body| set(body, "/system/0/text", "1000:by rule")); talk.ask_times(3); }, &[]),
    ("a rule that goes is one too",
        |talk| { talk.rule("prompt", |body| set(body, "/system/0/text", "1000:by rule")); talk.ask();
            talk.rules.clear(); talk.ask(); },
        &[(RulesChanged, 7_000, "0.040250000")]),
    ("a rule about tools takes all with it",
        |talk| { talk.ask(); talk.rule("tool", |body| set(body, "/tools/0/description", "6000:by rule")); talk.ask(); },
        &[(RulesChanged, 17_000, "0.097750000")]),
    ("a rule about messages takes these alone",
        |talk| { talk.ask(); talk.rule("first", |body| set(body, "/messages/0/content/0/text", "2000:by rule"));
            talk.ask(); },
        &[(RulesChanged, 2_000, "0.011500000")]),
    ("a rule that sets thinking takes the messages",
        |talk| { talk.ask(); talk.rule("think", |body| body["thinking"] = serde_json::json!({"type": "adaptive"}));
            talk.ask(); },
        &[(RulesChanged, 2_000, "0.011500000")]),
    ("a rule that changes nothing of the prompt loses nothing",
        |talk| { talk.ask(); talk.rule("metadata", |body| body["metadata"] = serde_json::json!({})); talk.ask(); },
        &[]),
    ("a rule for one upstream is no matter where the upstream changes",
        |talk| { talk.ask(); talk.rule("prompt", |body| set(body, "/system/0/text", "1000:x")); talk.at("b").ask(); },
        &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("a tool more at the end leaves those before it",
        |talk| { talk.ask(); talk.tools.push("500:another".into()); talk.ask(); },
        &[(ToolsChanged, 7_000, "0.040250000")]),
    ("a tool more before the others takes all with it",
        |talk| { talk.ask(); talk.tools.insert(0, "500:another".into()); talk.ask(); },
        &[(ToolsChanged, 17_000, "0.097750000")]),
    ("a tool less too", |talk| { talk.ask(); talk.tools.pop(); talk.ask(); }, &[(ToolsChanged, 14_500, "0.083375000")]),
    ("tools in another order are others",
        |talk| { talk.ask(); talk.tools.reverse(); talk.ask(); }, &[(ToolsChanged, 17_000, "0.097750000")]),
    ("a date in the system prompt changes at midnight",
        |talk| { talk.ask(); talk.system[1] = "4000:today is the 2nd".into(); talk.ask(); },
        &[(SystemChanged, 7_000, "0.040250000")]),
    ("tools that have a mark of their own stay when the system prompt changes",
        |talk| { talk.ask().ask(); talk.system[0] = "1000:new".into(); talk.ask(); },
        &[(SystemChanged, 8_500, "0.048875000")]),
    ("tools that have no mark go with the system prompt",
        |talk| { talk.marks_tools = false; talk.ask(); talk.system[0] = "1000:new".into(); talk.ask(); },
        &[(SystemChanged, 17_000, "0.097750000")]),
    ("who asks may differ from turn to turn", |talk| { talk.has_attribution = true; talk.ask_times(4); }, &[]),
    ("tools and system at once are told as tools",
        |talk| { talk.ask_times(2); talk.tools.pop(); talk.system[0] = "1000:new".into(); talk.ask(); },
        &[(ToolsChanged, 16_000, "0.092000000")]),
    ("a former message that is edited takes what follows",
        |talk| { talk.ask_times(4); talk.edit(2, "1000:otherwise"); talk.ask(); },
        &[(HistoryChanged, 4_500, "0.025875000")]),
    ("the first message edited takes all messages",
        |talk| { talk.ask_times(3); talk.edit(0, "2000:otherwise"); talk.ask(); },
        &[(HistoryChanged, 5_000, "0.028750000")]),
    ("results of tools that the client clears take what follows",
        |talk| { talk.ask_times(4); talk.edit(4, "10:cleared"); talk.ask(); },
        &[(HistoryChanged, 3_000, "0.017250000")]),
    ("a prompt that was taken back loses nothing", |talk| { talk.ask_times(3); talk.rewind(2); talk.ask(); }, &[]),
    ("nor does one that was taken back to the beginning",
        |talk| { talk.ask_times(3); talk.rewind(4); talk.ask().ask(); }, &[]),
    ("thinking that is switched on takes the messages",
        |talk| { talk.ask(); talk.thinking = Some("enabled"); talk.ask(); }, &[(HistoryChanged, 2_000, "0.011500000")]),
    ("a compaction writes its summary",
        |talk| { talk.ask_times(6); talk.ask_summary(); talk.compact(); talk.ask(); },
        &[(Compaction, 4_000, "0.023000000")]),
    ("an automatic one too, and the client says so",
        |talk| { talk.ask_times(6); talk.ask_summary(); talk.compact(); talk.says_compacted = true; talk.ask();
            talk.says_compacted = false; talk.ask(); },
        &[(Compaction, 4_000, "0.023000000")]),
    ("after a compaction the conversation goes on from its summary",
        |talk| { talk.ask_times(6); talk.ask_summary(); talk.compact(); talk.ask_times(3); },
        &[(Compaction, 4_000, "0.023000000")]),
    ("a second compaction is one more",
        |talk| { talk.ask_times(3); talk.ask_summary(); talk.compact(); talk.ask_times(3); talk.ask_summary();
            talk.compact(); talk.ask(); },
        &[(Compaction, 4_000, "0.023000000"), (Compaction, 4_000, "0.023000000")]),
    ("a summary that is asked for with another system prompt writes all anew",
        |talk| { talk.ask_times(3); talk.ask_summary_otherwise(); }, &[(Compaction, 11_510, "0.066182500")]),
    ("a compaction of which a part stays as it was said",
        |talk| { talk.ask_times(4); talk.compact_but_keep(2); talk.ask(); }, &[(Compaction, 5_510, "0.031682500")]),
    ("after a summary that was not used the conversation goes on",
        |talk| { talk.ask_times(3); talk.ask_summary(); talk.ask(); }, &[]),
    ("a title is another prompt, and loses nothing",
        |talk| { talk.ask(); talk.title(); talk.ask(); talk.title(); talk.ask(); }, &[]),
    ("a title between the first and the second request hides no loss",
        |talk| { talk.ask(); talk.title(); talk.at("b").ask(); }, &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("a title that is asked of the same model with the same words",
        |talk| { talk.title_model = "claude-opus-5"; talk.title_tokens = 3_000; talk.ask(); talk.title();
            talk.ask(); talk.title(); talk.ask(); },
        &[]),
    ("sub-agents have prompts of their own", |talk| { talk.ask(); talk.agents(4, 3); talk.ask(); }, &[]),
    ("sub-agents that the client does not tell apart",
        |talk| { talk.ask(); talk.unnamed_agents(4, 3); talk.ask(); }, &[]),
    ("a sub-agent's pause is its own",
        |talk| { talk.ask(); talk.agents(1, 2); talk.pause(4 * MINUTE).ask().pause(4 * MINUTE); talk.agents(1, 1); },
        &[(Idle, 1_500, "0.008625000")]),
    ("many sub-agents do not push the main conversation out",
        |talk| { talk.ask(); talk.unnamed_agents(5, 20); talk.pause(10 * MINUTE).ask(); },
        &[(Idle, 17_000, "0.097750000")]),
    ("prompts that are too short for a cache",
        |talk| { talk.tools = vec!["100:a".into()]; talk.system = vec!["100:s".into(), "100:t".into()];
            talk.first = "100:hi"; talk.further = 50; talk.ask().pause(9 * MINUTE).ask().at("b").ask(); },
        &[]),
    ("an upstream that tells nothing of caches",
        |talk| { talk.is_silent = true; talk.ask_times(3); talk.pause(9 * MINUTE).ask(); }, &[]),
    ("on the way by an upstream that tells nothing of caches nothing is known to be lost",
        |talk| { talk.ask(); talk.is_silent = true; talk.at("b").ask(); }, &[]),
    ("but the way back is too late for the first one's cache",
        |talk| { talk.ask(); talk.is_silent = true; talk.at("b").ask().pause(6 * MINUTE); talk.is_silent = false;
            talk.at("a").ask(); },
        &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("a request that failed leaves all as it was", |talk| { talk.ask().fail().fail(); talk.ask(); }, &[]),
    ("a request that failed, and then another upstream",
        |talk| { talk.ask().fail(); talk.at("b").ask(); }, &[(UpstreamChanged, 17_000, "0.097750000")]),
    ("a request that is sent again finds what it wrote", |talk| { talk.ask().ask_again(); }, &[]),
    ("a restart of the gateway in between, and nothing else", |talk| { talk.ask_times(3).restart().ask(); }, &[]),
    ("a long pause with a restart in it",
        |talk| { talk.ask().restart().pause(6 * MINUTE).ask(); }, &[(Idle, 17_000, "0.097750000")]),
    ("a restart with another rule",
        |talk| { talk.ask().restart(); talk.rule("prompt", |body| set(body, "/system/0/text", "1000:by rule"));
            talk.ask(); },
        &[(RulesChanged, 7_000, "0.040250000")]),
    ("a restart, and an edit of the first message",
        |talk| { talk.ask_times(3).restart(); talk.edit(0, "2000:otherwise"); talk.ask(); },
        &[(HistoryChanged, 5_000, "0.028750000")]),
    ("a restart, and a new sub-agent that the client does not name",
        |talk| { talk.ask_times(3).restart(); talk.unnamed_agents(1, 1); }, &[]),
    ("an upstream that lost its cache",
        |talk| { talk.ask_times(2); talk.upstream_forgets(); talk.ask(); }, &[(Unexplained, 18_500, "0.106375000")]),
    ("an upstream that spreads its requests over two accounts",
        |talk| { talk.ask(); talk.account = "other"; talk.ask(); }, &[(Unexplained, 17_000, "0.097750000")]),
    ("two requests at once: the second could not read what was being written",
        |talk| { talk.ask(); talk.ask_at_once(); }, &[]),
    ("a new conversation in the same session", |talk| { talk.ask_times(3); talk.begin_anew(); talk.ask(); }, &[]),
    ("a client without system prompt and tools",
        |talk| { talk.tools.clear(); talk.system.clear(); talk.ask().pause(6 * MINUTE).ask(); },
        &[(Idle, 2_000, "0.011500000")]),
];

#[test]
fn what_was_lost_is_named_and_counted() {
    assert!(CASES.len() >= 50, "{}", CASES.len());
    let mut wrong = Vec::new();
    for (statement, happens, lost) in CASES {
        let mut talk = Talk::new();
        happens(&mut talk);
        let found: Vec<_> =
            talk.lost.iter().map(|(loss, dollars)| (loss.cause, loss.tokens, dollars.as_str())).collect();
        if found != *lost {
            wrong.push(format!("{statement}:\n  found  {found:?}\n  wanted {lost:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn what_changed_is_told_by_name() {
    let detail = |happens: fn(&mut Talk)| {
        let mut talk = Talk::new();
        happens(&mut talk);
        talk.lost.pop().expect("a loss").0.detail
    };
    assert_eq!(
        detail(|talk| {
            talk.ask().after(6 * MINUTE).ask();
        }),
        "360>300"
    );
    assert_eq!(
        detail(|talk| {
            talk.hour().ask().after(61 * MINUTE).ask();
        }),
        "3660>3600"
    );
    assert_eq!(
        detail(|talk| {
            talk.ask().at("b").ask();
        }),
        "a>b"
    );
    assert_eq!(
        detail(|talk| {
            talk.ask().with_key("second").ask();
        }),
        "first>second"
    );
    assert_eq!(
        detail(|talk| {
            talk.rule("old", |body| set(body, "/system/0/text", "1000:old"));
            talk.ask();
            talk.rules.clear();
            talk.rule("new", |body| set(body, "/system/0/text", "1000:new"));
            talk.ask();
        }),
        "+new,-old"
    );
    assert_eq!(
        detail(|talk| {
            talk.ask();
            talk.thinking = Some("enabled");
            talk.ask();
        }),
        "settings"
    );
}

#[test]
fn what_lives_for_an_hour_is_lost_first() {
    let tokens = Tokens { input: 1, output: 2, cache_write: 100, cache_write_1h: 60, cache_read: 10 };
    let read = |lost| {
        let without = without_loss(&tokens, lost);
        (without.cache_write, without.cache_write_1h, without.cache_read)
    };
    assert_eq!((read(50), read(70), read(1_000)), ((50, 10, 60), (30, 0, 80), (0, 0, 110)));
}
