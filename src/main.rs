//! The binary; `command.rs` says what it does.

fn main() -> std::process::ExitCode {
    anyrouter_gateway::run()
}
