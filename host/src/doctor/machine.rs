//! What the system allows this process.

use std::fs;

use super::Finding;

/// Open files that a busy server needs: a connection is one.
const FILES: u64 = 4_096;

/// The first Linux that can tell which pages a call has written (`PAGEMAP_SCAN`).
const PAGEMAP_SCAN: (u32, u32) = (6, 7);

pub(super) fn examine() -> Vec<Finding> {
    let files = fs::read_to_string("/proc/self/limits").ok().and_then(|text| open_files(&text));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let kernel = kernel.as_deref().and_then(|text| Some((version(text)?, text.trim())));
    let files = files.map(|files| {
        if files < FILES {
            let found = format!("this process may have {files} open, and a connection is one");
            let mend =
                format!("raise the limit: LimitNOFILE=65536 in the unit, or `ulimit -n {FILES}`");
            Finding::warning("open files", found, mend)
        } else {
            Finding::ok("open files", "there may be as many as connections")
        }
    });
    let kernel = kernel.map(|(version, text)| {
        if version < PAGEMAP_SCAN {
            let found = format!("Linux {text} cannot say which memory a call has written");
            let mend = "from Linux 6.7 on a call of a strategy costs a third less";
            Finding::warning("kernel", found, mend)
        } else {
            Finding::ok("kernel", format!("Linux {text}"))
        }
    });
    files.into_iter().chain(kernel).collect()
}

/// The soft limit on open files.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?;
    Some(soft.parse().unwrap_or(u64::MAX))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let limits = "Limit   Soft Limit   Hard Limit   Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files   unlimited   unlimited   files"), Some(u64::MAX));
        assert_eq!(open_files(""), None);
        assert_eq!(version("6.1.0-18-amd64\n"), Some((6, 1)));
        assert_eq!(version("6.18.5"), Some((6, 18)));
    }
}
