//! The playbook service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(playbook::serve)
}
