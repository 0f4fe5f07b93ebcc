//! The few inputs that stand for a whole corpus.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// The most that are kept of a target, beside those that people have written.
const MOST: usize = 300;

/// Leaves in `kept` what people have written, and the inputs that reach most besides, by
/// what libFuzzer's merge has noted of each.
pub(super) fn keep(noted: &Path, kept: &Path) -> anyhow::Result<usize> {
    let noted = fs::read_to_string(noted).context("the merge has noted nothing")?;
    let reached = reached(&noted).context("libFuzzer notes merges in another way")?;
    let size = |file: &PathBuf| fs::metadata(file).map_or(u64::MAX, |file| file.len());
    let sized = reached.into_iter().map(|(file, edges)| (size(&file), file, edges));
    let named: Vec<(PathBuf, Vec<u8>)> = chosen(&sized.collect::<Vec<_>>())
        .into_iter()
        .map(|file| Ok((kept.join(file.file_name().unwrap_or_default()), fs::read(&file)?)))
        .collect::<anyhow::Result<_>>()?;
    for entry in fs::read_dir(kept)? {
        let file = entry?.path();
        if !is_written(&file) {
            fs::remove_file(file)?;
        }
    }
    for (file, bytes) in &named {
        fs::write(file, bytes)?;
    }
    Ok(named.len())
}

/// libFuzzer names by a SHA-1, people otherwise.
fn is_written(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.len() != 40 || !name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Each input with the edges that it reaches: how many files there are, how many of them
/// come first, their names, and a line of features for each. A feature is an edge with one
/// of eight ranges of how often it was taken.
fn reached(noted: &str) -> Option<Vec<(PathBuf, BTreeSet<u64>)>> {
    let mut lines = noted.lines();
    let count: usize = lines.next()?.parse().ok()?;
    lines.next()?;
    let files: Vec<PathBuf> = lines.by_ref().take(count).map(PathBuf::from).collect();
    let mut reached = BTreeMap::new();
    for line in lines {
        let Some(line) = line.strip_prefix("FT ") else { continue };
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let file = usize::try_from(numbers.next()?.ok()?).ok()?;
        let edges = numbers.map(|feature| Some(feature.ok()? / 8)).collect::<Option<_>>()?;
        reached.insert(file, edges);
    }
    reached.into_iter().map(|(file, edges)| Some((files.get(file)?.clone(), edges))).collect()
}

/// Whichever adds most comes next, and the smaller one of two.
fn chosen(inputs: &[(u64, PathBuf, BTreeSet<u64>)]) -> Vec<PathBuf> {
    let (mut seen, mut chosen) = (BTreeSet::<u64>::new(), Vec::new());
    let mut next = BinaryHeap::new();
    for (number, (size, file, edges)) in inputs.iter().enumerate() {
        if is_written(file) {
            seen.extend(edges);
        } else {
            next.push((edges.len(), std::cmp::Reverse(*size), number));
        }
    }
    while let Some((promised, size, number)) = next.pop() {
        let (_, file, edges) = &inputs[number];
        let new = edges.iter().filter(|edge| !seen.contains(edge)).count();
        if new == promised && new > 0 {
            seen.extend(edges);
            chosen.push(file.clone());
        } else if new > 0 {
            next.push((new, size, number));
        }
        if chosen.len() == MOST {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_most_is_chosen_and_of_two_the_smaller_one() {
        let name = |digit: &str| digit.repeat(40);
        let noted = format!(
            "5\n1\n/k/written\n/g/{}\n/g/{}\n/g/{}\n/g/{}\nSTARTED 0 9\nFT 0 8 9\nCOV 0 1\n\
             FT 1 16 24 32\nFT 2 16 24 32\nFT 3 8 40\nFT 4 8 16\nDONE 4\n",
            name("a"),
            name("b"),
            name("c"),
            name("d"),
        );
        let reached = reached(&noted).unwrap();
        assert_eq!(reached[0].1, BTreeSet::from([1]));
        let bytes = [1, 30, 20, 10, 1].into_iter().zip(reached);
        let inputs: Vec<_> = bytes.map(|(size, (file, edges))| (size, file, edges)).collect();
        let path = |digit| PathBuf::from(format!("/g/{}", name(digit)));
        assert_eq!(chosen(&inputs), [path("b"), path("c")]);
    }
}
