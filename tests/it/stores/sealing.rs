//! What rests sealed, opened by somebody else: Python's `cryptography`.

use std::{fs, path::PathBuf, process::Command};

use secrecy::SecretString;
use vestibule::cipher::{Cipher, OpenHandsForm, Place};
use vestibule_tests::{run::text, workspace};

const SECRET: &str = "a secret of the tests, of more than 32 bytes";

/// Opens a token as OpenHands would, and prints what follows the place's digest.
const OPEN: &str = r"
import base64, hashlib, sys
from cryptography.fernet import Fernet
secret, token = sys.argv[1:]
key = base64.b64encode(hashlib.sha256(secret.encode()).digest())
plain = Fernet(key).decrypt(token.encode())
assert plain.startswith(b'vestibule/1\n'), plain[:12]
print(plain[12 + 32:].decode(), end='')
";

/// Seals a value as OpenHands does its provider tokens.
const SEAL: &str = r"
import base64, hashlib, sys
from cryptography.fernet import Fernet
secret, value = sys.argv[1:]
key = base64.b64encode(hashlib.sha256(secret.encode()).digest())
print(Fernet(key).encrypt(value.encode()).decode(), end='')
";

/// A Python that has `cryptography`, in a virtual environment below `target`.
fn python() -> PathBuf {
    let folder = workspace().join("target/python");
    let python = folder.join("bin/python");
    let has_it = |python: &PathBuf| {
        let asked = Command::new(python).args(["-c", "import cryptography"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if !has_it(&python) {
        let _ = fs::remove_dir_all(&folder);
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        assert!(made.unwrap().success(), "python3 with its venv module is needed");
        let installed = Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "cryptography"])
            .status();
        assert!(installed.unwrap().success(), "cryptography is not to be had from PyPI");
    }
    python
}

fn run(script: &str, arguments: [&str; 2]) -> String {
    let output = Command::new(python()).args(["-c", script]).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn python_opens_what_is_sealed_here_and_the_other_way_round() {
    let cipher = Cipher::new(&[SecretString::from(SECRET)]).unwrap();
    let place = Place { column: "secrets.value", org: "org", user: "ada", name: "NAME" };
    let sealed = cipher.seal(&place, &SecretString::from("ümläut \u{1f511}\n"));
    assert_eq!(run(OPEN, [SECRET, &sealed.token]), "ümläut \u{1f511}\n");

    // A key whose standard base64 has both characters that base64url has not.
    let theirs = "test_secret";
    let token = run(SEAL, [theirs, "hello-world"]);
    let cipher = Cipher::of_openhands(&[SecretString::from(theirs)]).unwrap();
    let opened = cipher.open_openhands(OpenHandsForm::Token, &token).unwrap();
    assert_eq!(text(&opened), "hello-world");
}
