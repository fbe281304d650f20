//! The verdict on every case, and the table that people read.

use std::fmt;

use serde::Serialize;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// What was wrong.
    Failed(String),
    /// Why it was not tried.
    Skipped(String),
}

/// One case on one operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the operation; empty if the case is about the service.
    pub operation: String,
    /// Name of the case.
    pub case: &'static str,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// What became of all cases. Its text is a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was checked: name, version and address.
    pub subject: String,
    /// In the order of the cases.
    pub rows: Vec<Row>,
}

impl Report {
    /// True if no case failed and at least one passed.
    pub fn passed(&self) -> bool {
        let passed = |row: &Row| row.verdict == Verdict::Passed;
        self.failed().next().is_none() && self.rows.iter().any(passed)
    }

    /// The rows of cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter();
        rows.filter(|row| matches!(row.verdict, Verdict::Failed(_)))
    }

    /// As JSON, with `passed` beside the rows.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "subject": self.subject, "passed": self.passed(), "rows": self.rows })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max();
        let operation = width(|row| &row.operation).unwrap_or(0);
        let case = width(|row| row.case).unwrap_or(0);
        writeln!(f, "{}", self.subject)?;
        let (mut n_passed, mut n_failed, mut n_skipped) = (0, 0, 0);
        for row in &self.rows {
            let (word, reason, count) = match &row.verdict {
                Verdict::Passed => ("passed", "", &mut n_passed),
                Verdict::Failed(reason) => ("FAILED", reason.as_str(), &mut n_failed),
                Verdict::Skipped(reason) => ("skipped", reason.as_str(), &mut n_skipped),
            };
            *count += 1;
            let Row {
                operation: name,
                case: of,
                seconds,
                ..
            } = row;
            let line = format!("  {name:operation$}  {of:case$}  {word:7}  {seconds:7.2} s  {reason}");
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "{n_passed} passed, {n_failed} failed, {n_skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &'static str, verdict: Verdict) -> Row {
        Row {
            operation: "copy".to_owned(),
            case,
            verdict,
            seconds: 0.25,
        }
    }

    #[test]
    fn a_report_is_a_table_and_json_and_has_a_verdict() {
        let mut report = Report {
            subject: "copy 1.0.0".to_owned(),
            rows: vec![
                row("answers", Verdict::Passed),
                row("inline_and_path_agree", Verdict::Skipped("no folder".to_owned())),
            ],
        };
        assert!(report.passed());
        assert_eq!(
            report.to_string(),
            "copy 1.0.0\n  copy  answers                passed      0.25 s\n  copy  inline_and_path_agree  skipped     \
             0.25 s  no folder\n1 passed, 0 failed, 1 skipped"
        );
        report
            .rows
            .push(row("full_mask", Verdict::Failed("why".to_owned())));
        assert!(!report.passed());
        let json = report.to_json();
        assert_eq!(json["passed"], false);
        assert_eq!(json["rows"][2]["verdict"], "failed");
        assert_eq!(json["rows"][2]["reason"], "why");
        report
            .rows
            .retain(|row| matches!(row.verdict, Verdict::Skipped(_)));
        assert!(!report.passed(), "nothing was shown");
    }
}
