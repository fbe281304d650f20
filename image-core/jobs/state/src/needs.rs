//! What a job needs of its worker, and what a worker has.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a job needs of its worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// What the worker must advertise, such as `cuda`; anything if `None`.
    pub capability: Option<String>,
    /// Model folders, as requests name them; sorted, each once.
    pub models: Vec<String>,
    /// Bytes at the peak, as far as they are known beforehand.
    pub memory_bytes: Option<u64>,
}

impl Needs {
    /// Eight hexadecimal digits that stand for capability and models: jobs with equal ones can run in the same places.
    pub fn class(&self) -> String {
        let mut hash = Sha256::new();
        let texts = self.capability.iter().chain(&self.models);
        hash.update([u8::from(self.capability.is_some())]);
        for text in texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.finalize()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What a worker has. Workers say so when they start and from time to time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCard {
    /// Unique among all that live.
    pub name: String,
    /// The process that it is part of: workers of one process share what that holds in memory.
    pub process: String,
    /// What it can do; its provider is among them.
    pub capabilities: Vec<String>,
    /// Folders beneath which its models lie; all models if empty.
    pub models: Vec<String>,
    /// All that its process may hold; unknown if `None`.
    pub memory_bytes: Option<u64>,
}

impl WorkerCard {
    /// Why it can never take a job with these needs; `None` if it can.
    pub fn misfit(&self, needs: &Needs) -> Option<String> {
        if let Some(capability) = &needs.capability
            && !self.capabilities.contains(capability)
        {
            return Some(format!("{} does not have {capability}", self.name));
        }
        let is_ours = |model: &&String| {
            self.models.is_empty() || self.models.iter().any(|folder| is_beneath(model, folder))
        };
        if let Some(model) = needs.models.iter().find(|model| !is_ours(model)) {
            return Some(format!("{} does not have model {model}", self.name));
        }
        match (needs.memory_bytes, self.memory_bytes) {
            (Some(needed), Some(has)) if needed > has => Some(format!(
                "{} may hold {has} bytes and the job needs {needed}",
                self.name
            )),
            _ => None,
        }
    }
}

/// Whole components only: `models/kidney` does not hold `models/kidney2`.
fn is_beneath(path: &str, folder: &str) -> bool {
    std::path::Path::new(path).starts_with(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerCard {
        WorkerCard {
            name: "w".into(),
            process: "p".into(),
            capabilities: vec!["cpu".into()],
            models: vec!["models/kidney".into()],
            memory_bytes: Some(10),
        }
    }

    #[test]
    fn a_worker_takes_what_it_has() {
        let needs = |capability: Option<&str>, models: &[&str], memory_bytes| Needs {
            capability: capability.map(str::to_owned),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            memory_bytes,
        };
        let misfit = |needs: Needs| worker().misfit(&needs);
        assert_eq!(misfit(Needs::default()), None);
        assert_eq!(misfit(needs(Some("cpu"), &["models/kidney/a"], Some(10))), None);
        assert!(misfit(needs(Some("cuda"), &[], None)).unwrap().contains("cuda"));
        assert!(
            misfit(needs(None, &["models/kidney2"], None))
                .unwrap()
                .contains("kidney2")
        );
        assert!(misfit(needs(None, &[], Some(11))).unwrap().contains("11"));
        let all = WorkerCard {
            models: Vec::new(),
            memory_bytes: None,
            ..worker()
        };
        assert_eq!(all.misfit(&needs(None, &["x"], Some(u64::MAX))), None);
    }

    #[test]
    fn classes_tell_needs_apart() {
        let class = |capability: Option<&str>, models: &[&str]| {
            Needs {
                capability: capability.map(str::to_owned),
                models: models.iter().map(|model| (*model).to_owned()).collect(),
                memory_bytes: None,
            }
            .class()
        };
        assert_eq!(class(None, &["a", "b"]), class(None, &["a", "b"]));
        assert_ne!(class(None, &["a", "b"]), class(None, &["ab"]));
        assert_ne!(class(Some("a"), &[]), class(None, &["a"]));
        assert_eq!(class(None, &[]).len(), 8);
    }
}
