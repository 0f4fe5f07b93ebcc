//! The command line of Vestibule, for tests that need a process.

fn main() -> std::process::ExitCode {
    vestibule::cli::run()
}
