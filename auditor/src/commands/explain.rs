//! `auditor explain`.

use std::fmt::Write;
use std::process::ExitCode;

use auditor::audit::Code;

use crate::exit::Failure;

pub(crate) fn run(code: Option<&str>) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    match code {
        None => {
            for code in Code::ALL {
                let _ = writeln!(text, "{:<28} {:<8} {}", code.as_str(), code.severity().as_str(), code.rule().meaning);
            }
        }
        Some(name) => match Code::ALL.into_iter().find(|code| code.as_str() == name) {
            Some(code) => text = code.explain(),
            None => {
                return Err(Failure::Usage(format!("no finding has the code {name:?}; `auditor explain` lists them")));
            }
        },
    }
    super::lines::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
