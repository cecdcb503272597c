//! Finds names in an expression that do not exist, also where no sample leads.
//!
//! The library looks names up only when it comes to them, so a typing error behind an `&&` would deny
//! requests one day instead of failing the load.

use std::sync::Arc;

use cel::{
    Context, Env, ExecutionError,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr},
};

/// The one namespace of the standard library, as in `optional.of(1)`.
const NAMESPACE: &str = "optional";

/// A name that does not exist.
#[derive(Clone, Copy)]
pub(super) struct Unknown {
    pub(super) kind: Kind,
    /// The part of the expression where it stands.
    pub(super) id: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Variable,
    Function,
}

/// The first name in the expression that is neither `variable`, nor bound by a macro around it, nor of the language.
pub(super) fn unknown<'e>(
    expression: &'e IdedExpr,
    variable: &'e str,
    language: &'e Arc<Env>,
) -> Option<Unknown> {
    let mut walk = Walk { language, variable, bound: Vec::new(), found: None };
    walk.visit(expression);
    walk.found
}

struct Walk<'e> {
    language: &'e Arc<Env>,
    variable: &'e str,
    /// Names bound by the macros around the place.
    bound: Vec<&'e str>,
    found: Option<Unknown>,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.name(name, expression.id),
            Expr::Call(call) => self.call(call, expression.id),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Select(select) => self.visit(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    fn call(&mut self, call: &'e CallExpr, id: u64) {
        let target = call.target.as_deref();
        let namespaced =
            target.is_some_and(|of| matches!(&of.expr, Expr::Ident(name) if name == NAMESPACE));
        if !namespaced {
            if let Some(target) = target {
                self.visit(target);
            }
            // Operators have names that nobody can write.
            let call_of = if target.is_some() { "null." } else { "" };
            let probe = format!("{call_of}{}()", call.func_name);
            self.exists(&call.func_name, &probe, Unknown { kind: Kind::Function, id });
        }
        call.args.iter().for_each(|argument| self.visit(argument));
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) {
        let ComprehensionExpr { iter_range, iter_var, iter_var2, accu_var, .. } = comprehension;
        self.visit(iter_range);
        self.visit(&comprehension.accu_init);
        let outside = self.bound.len();
        self.bound.push(accu_var);
        self.visit(&comprehension.result);
        self.bound.push(iter_var);
        self.bound.extend(iter_var2.as_deref());
        self.visit(&comprehension.loop_cond);
        self.visit(&comprehension.loop_step);
        self.bound.truncate(outside);
    }

    fn name(&mut self, name: &str, id: u64) {
        // A leading dot only says that no macro's variable is meant.
        let name = name.trim_start_matches('.');
        if name != self.variable && !self.bound.contains(&name) {
            self.exists(name, name, Unknown { kind: Kind::Variable, id });
        }
    }

    /// Asks the library itself whether `probe`, which uses `name` and nothing else, has a meaning; `unknown` is
    /// what was found if not.
    fn exists(&mut self, name: &str, probe: &str, unknown: Unknown) {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let operator = !word || name.starts_with('_');
        if operator || self.found.is_some() {
            return;
        }
        let context = Context::with_env(Arc::clone(self.language));
        let meaning = self.language.compile(probe).map(|program| program.execute(&context));
        if matches!(meaning, Ok(Err(ExecutionError::UndeclaredReference(_)))) {
            self.found = Some(unknown);
        }
    }
}
