//! A thousand generations under load: nobody notices.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_thousand_swaps_under_load_fail_no_request_and_leave_nothing_behind() {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule-swapper")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{told}");
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(number("failed"), 0, "{told} {errors}");
    assert!(number("requests") > 1000, "{told}");
    // The one of the start, and each of the two that take turns: whatever follows is known.
    assert_eq!(number("compiled"), 3, "{told}");
    // The slowest says more of the machine, which runs other tests meanwhile; `cargo xtask
    // bench swap` measures it.
    assert!(number("median_ms") < 100, "{told}");
    let (before, after) = (number("resident_before"), number("resident_after"));
    assert!(after <= before + before / 20, "{told}");
}
