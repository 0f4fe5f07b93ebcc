//! Whether a component is signed by somebody whom the operator trusts. Nobody is asked
//! over the network.

use minisign_verify::{PublicKey, Signature};

use super::{ComponentFile, LoadError};
use crate::config::Config;

/// Where keys are trusted, refuses a component without a signature by one of them. Both
/// kinds that minisign makes are known, of the bytes and of their digest.
pub(super) fn check(file: &ComponentFile, config: &Config) -> Result<(), LoadError> {
    let mut keys = Vec::new();
    for text in &config.plugins.trusted_keys {
        let key = PublicKey::from_base64(text).map_err(|_| {
            let what = format!(
                "{text:?} is no public key of minisign; the second line of its .pub file is one"
            );
            LoadError::TrustedKey(config.source.mistake(&["plugins", "trusted_keys"], &what))
        })?;
        keys.push(key);
    }
    if keys.is_empty() {
        return Ok(());
    }
    let text = file.signature.as_deref().ok_or(LoadError::Unsigned)?;
    let signature = Signature::decode(text).map_err(|_| LoadError::WrongSignature)?;
    if keys.iter().any(|key| key.verify(&file.bytes, &signature, true).is_ok()) {
        Ok(())
    } else {
        Err(LoadError::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::Environment;

    /// As the makers of minisign publish it: a signature of the digest.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/\
        z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    fn checked(keys: &str, bytes: &[u8], signature: Option<&str>) -> Result<(), LoadError> {
        let text = format!("auth.strategy = 'x'\nplugins.trusted_keys = [{keys}]");
        let environment = Environment::fixed(&[]);
        let config = Config::parse(Some(Path::new("v.toml")), &text, environment).unwrap();
        let file = ComponentFile {
            path: PathBuf::from("x.wasm"),
            bytes: bytes.to_vec(),
            digest: String::new(),
            signature: signature.map(str::to_owned),
        };
        check(&file, &config)
    }

    #[test]
    fn a_signature_of_the_digest_is_known_and_holds_for_those_bytes_alone() {
        let key = format!("'{KEY}'");
        assert!(checked(&key, b"test", Some(SIGNATURE)).is_ok());
        let wrong = |bytes, text| checked(&key, bytes, Some(text)).unwrap_err();
        assert!(matches!(wrong(b"Test", SIGNATURE), LoadError::WrongSignature));
        assert!(matches!(wrong(b"test", "gibberish"), LoadError::WrongSignature));
        let other = SIGNATURE.replace("559r3g7", "559r3g8");
        assert!(matches!(wrong(b"test", &other), LoadError::WrongSignature));
        let retold = SIGNATURE.replace("file:test", "file:none");
        assert!(matches!(wrong(b"test", &retold), LoadError::WrongSignature));
        assert!(matches!(checked(&key, b"test", None), Err(LoadError::Unsigned)));
    }

    #[test]
    fn without_a_trusted_key_no_signature_is_asked_for() {
        assert!(checked("", b"anything", None).is_ok());
    }

    #[test]
    fn a_key_that_is_none_is_told_with_its_line() {
        let error = checked("'RW-no-key'", b"test", Some(SIGNATURE)).unwrap_err().to_string();
        assert!(
            error.starts_with("v.toml:2: [plugins] trusted_keys: \"RW-no-key\" is no"),
            "{error}"
        );
    }
}
