//! On what terms content is let in: unseen from its owner and those the user trusts, or by leave; else through the gate of
//! [`transfer`](super::transfer). What is let in unseen is looked at when it is here, and said.

use super::{origin::Origin, plan::Plan, transfer::Gate};
use crate::{
    card::content::{Admitted, Finding, Leave, Refusal, admit},
    library::{
        Library, blocking,
        content::{self, Lies},
        trust,
    },
    rpc::{Failure, Get},
    store::{Tree, TreeId},
};

/// Whether what can carry code has leave.
pub(super) struct Terms {
    leave: Leave,
}

impl Terms {
    /// The terms for what a `get` leads to.
    ///
    /// # Errors
    /// As the list of trusted publishers cannot be read.
    pub(super) async fn of(library: &Library, get: &Get, origin: &Origin) -> Result<Self, Failure> {
        let (library, card) = (library.clone(), origin.card.clone());
        let named = origin.named || get.publisher.is_some();
        let allowed = get.allow_code;
        let leave = blocking(move || trust::leave(&library, card.as_ref(), named, allowed)).await?;
        Ok(Self { leave })
    }

    /// What would be said or refused as far as names alone tell, as warnings.
    pub(super) fn foresee(&self, plan: &Plan) -> Vec<String> {
        let named = plan.files.iter().filter_map(|file| content::by_name(&file.path));
        match self.admit(&named.collect::<Vec<_>>()) {
            Ok(admitted) => content::few(&admitted.warnings),
            Err(refusal) => {
                let mut lines = content::few(refusal.files());
                lines.push(format!("it would be refused; {}", refusal.hint()));
                lines
            }
        }
    }

    /// The gate that a fetch goes through; what needs none is announced at once.
    ///
    /// # Errors
    /// As the network fails.
    pub(super) async fn gate(
        &self,
        library: &Library,
        get: &Get,
        id: TreeId,
        tree: Tree,
    ) -> Result<Gate, Failure> {
        if self.leave != Leave::Given {
            return Ok(Gate::closed(&get.reference, self.leave, tree));
        }
        library.announce(id, &tree).await?;
        Ok(Gate::open())
    }

    /// Looks at what came without being looked at.
    ///
    /// # Errors
    /// As no thread is to be had.
    pub(super) async fn look(&self, files: Vec<Lies>) -> Result<Admitted, Failure> {
        let findings = blocking(move || content::on_disk(&files)).await?;
        Ok(self.admit(&findings).unwrap_or_default())
    }

    fn admit(&self, findings: &[Finding]) -> Result<Admitted, Refusal> {
        admit(findings, self.leave)
    }
}
