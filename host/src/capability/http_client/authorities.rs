//! Whose certificates hold: the public authorities, and the operator's own.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::config::Config;

/// The authorities that the strategy's requests trust. Those of the system are
/// not asked, so that a server trusts the same ones wherever it runs.
pub(crate) fn authorities(config: &Config) -> Result<RootCertStore, String> {
    let mut trusted = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(file) = &config.auth.ca_file else { return Ok(trusted) };
    let mistake = |what: String| {
        let what = format!("{}: {what}; name a file of certificates in PEM form", file.display());
        config.source.mistake(&["auth", "ca_file"], &what)
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| mistake(error.to_string()))?;
    if certificates.is_empty() {
        return Err(mistake("there is no certificate in it".to_owned()));
    }
    for certificate in certificates {
        trusted.add(certificate).map_err(|error| mistake(error.to_string()))?;
    }
    Ok(trusted)
}
