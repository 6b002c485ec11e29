//! `cargo xtask pairing [FILE…]`: how often the pairing finds the request that caused a call, where the truth is known.
//!
//! `FILE.jsonl` holds exchanges with nothing but time, direction, operation and peer (`exchanges`); `FILE.rec` is a
//! recording of a fleet, with `FILE.truth` beside it (`recorded`). Both go through the stages that a live run has,
//! the first with the joint solution of the delays, and what is claimed is compared with the truth. Without files, the
//! recordings of the repository are scored.

mod exchanges;
mod recorded;
mod score;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use score::Board;

/// Options of `cargo xtask pairing`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `.jsonl` exchanges with known parents, or `.rec` recordings with their `.truth`; directories of them
    files: Vec<PathBuf>,
    /// Leave this process out of the total (repeatable)
    #[arg(long, value_name = "PROCESS")]
    except: Vec<String>,
    /// List every call that is wrong: what it is, whose it is, and whose it was taken to be
    #[arg(long)]
    wrong: bool,
    /// Which claims about the calls of `.rec` files to score
    #[arg(long, value_enum, default_value_t = When::Live)]
    claimed: When,
}

/// When something was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// When the call was made
    Made,
    /// When a live run writes a finding: at the latest two seconds after the answer
    Live,
    /// However late
    End,
}

/// Scores every file.
pub(crate) fn run(args: &Args) -> Result<()> {
    let own = [own()];
    let mut files = Vec::new();
    for path in if args.files.is_empty() { &own[..] } else { &args.files } {
        if path.is_dir() {
            let inside = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
            files.extend(inside.into_iter().filter(|file| kind(file).is_some()));
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no .jsonl or .rec file given");
    }
    let mut board = Board::new(&args.except, args.wrong);
    for file in &files {
        let read = || match kind(file) {
            Some("jsonl") => exchanges::score(file),
            Some("rec") => recorded::score(file, args.claimed),
            _ => bail!("neither .jsonl nor .rec"),
        };
        board.add(file, read().with_context(|| format!("cannot score {}", file.display()))?);
    }
    print!("{board}");
    Ok(())
}

/// The recordings of the repository.
fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../auditor/tests/recordings/pairing")
}

fn kind(file: &Path) -> Option<&str> {
    file.extension().and_then(|extension| extension.to_str()).filter(|kind| matches!(*kind, "jsonl" | "rec"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_calls_of_the_own_recordings_are_paired_right() {
        // They last four seconds.
        for (name, least) in [
            ("node-affine-16", 0.99),
            ("node-blind-16", 0.93),
            ("python-executor-affine-16", 0.99),
            ("python-threads-blind-16", 0.99),
        ] {
            let outcome =
                recorded::score(&own().join(name).with_extension("rec"), When::Live).expect("it can be scored");
            let [all, certain] = outcome.shares();
            assert!(all >= least, "{name}: {all}");
            assert!(certain >= 0.99, "{name}: of the claims that are nearly certain {certain}");
        }
    }
}
