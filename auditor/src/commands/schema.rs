//! `auditor schema`.

use std::process::ExitCode;

use auditor::report::Line;

use crate::exit::Failure;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let mut text =
        serde_json::to_string_pretty(&Line::schema()).map_err(|error| Failure::io("schema")(error.into()))?;
    text.push('\n');
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
