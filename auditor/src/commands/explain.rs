//! `auditor explain`.

use std::fmt::Write;
use std::process::ExitCode;

use auditor::audit::{Code, rules};

use crate::exit::Failure;

pub(crate) fn run(code: Option<&str>) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    match code {
        None => {
            for code in rules::all() {
                let _ = writeln!(text, "{code:<34} {:<8} {}", code.severity().as_str(), code.rule().meaning);
            }
        }
        Some(name) => text = name.parse::<Code>().map_err(Failure::Usage)?.rule().explain(),
    }
    super::lines::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
