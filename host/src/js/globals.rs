//! Global names the engine will never have.

use std::collections::BTreeSet;

use oxc::ast::ast::{Expression, IdentifierReference, Program, UnaryExpression, UnaryOperator};
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::Scoping;

use super::diagnostic::Finding;

/// The uses of absent names. A module that asks `typeof X` anywhere copes with the answer, so its uses of `X` pass.
pub(super) fn find_absent(program: &Program<'_>, scoping: &Scoping, absent: &[(&str, &str)]) -> Vec<Finding> {
    let free = scoping.root_unresolved_references();
    if !absent.iter().any(|(name, _)| free.contains_key(*name)) {
        return Vec::new();
    }
    let mut uses = Uses { scoping, absent, probed: BTreeSet::new(), found: Vec::new() };
    uses.visit_program(program);
    let Uses { probed, found, .. } = uses;
    found.into_iter().filter(|(name, _)| !probed.contains(name)).map(|(_, finding)| finding).collect()
}

struct Uses<'s> {
    scoping: &'s Scoping,
    absent: &'s [(&'s str, &'s str)],
    probed: BTreeSet<&'s str>,
    found: Vec<(&'s str, Finding)>,
}

impl<'s> Uses<'s> {
    /// Name and hint, if the identifier is a value, bound nowhere, and absent.
    fn absent(&self, identifier: &IdentifierReference<'_>) -> Option<(&'s str, &'s str)> {
        let entry = self.absent.iter().find(|(name, _)| *name == identifier.name.as_str())?;
        let reference = self.scoping.get_reference(identifier.reference_id.get()?);
        (reference.symbol_id().is_none() && reference.is_value()).then_some(*entry)
    }
}

impl<'a> Visit<'a> for Uses<'_> {
    fn visit_unary_expression(&mut self, unary: &UnaryExpression<'a>) {
        match (&unary.operator, &unary.argument) {
            (UnaryOperator::Typeof, Expression::Identifier(identifier)) => {
                self.probed.extend(self.absent(identifier).map(|(name, _)| name));
            }
            _ => walk::walk_unary_expression(self, unary),
        }
    }

    fn visit_identifier_reference(&mut self, identifier: &IdentifierReference<'a>) {
        if let Some((name, hint)) = self.absent(identifier) {
            let (offset, length) = (identifier.span.start as usize, identifier.span.size() as usize);
            self.found.push((name, Finding::new(format!("{name} is not available here"), offset, length).hint(hint)));
        }
    }
}
