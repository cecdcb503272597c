//! Finds names in an expression that do not exist, also where no sample leads.
//!
//! The library looks names up only when it comes to them, so a typing error behind an `&&` would deny
//! requests one day instead of failing the load.

use std::sync::Arc;

use cel::{
    Context, Env, ExecutionError,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr},
};

use super::PAYLOAD;

/// The one namespace of the standard library, as in `optional.of(1)`.
const NAMESPACE: &str = "optional";

/// The first name in the expression that is neither the payload, nor bound by a macro, nor of the language.
pub(super) fn undeclared(expression: &IdedExpr, language: &Arc<Env>) -> Option<String> {
    let mut walk = Walk { language, bound: Vec::new(), found: None };
    walk.visit(expression);
    walk.found
}

struct Walk<'e> {
    language: &'e Arc<Env>,
    /// Names bound by the macros around the place.
    bound: Vec<&'e str>,
    found: Option<String>,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Call(call) => self.call(call),
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

    fn call(&mut self, call: &'e CallExpr) {
        let target = call.target.as_deref();
        let namespaced =
            target.is_some_and(|of| matches!(&of.expr, Expr::Ident(name) if name == NAMESPACE));
        if !namespaced {
            if let Some(target) = target {
                self.visit(target);
            }
            // Operators have names that nobody can write.
            let call_of = if target.is_some() { "null." } else { "" };
            self.exists(&call.func_name, &format!("{call_of}{}()", call.func_name));
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

    fn name(&mut self, name: &str) {
        // A leading dot only says that no macro's variable is meant.
        let name = name.trim_start_matches('.');
        if name != PAYLOAD && !self.bound.contains(&name) {
            self.exists(name, name);
        }
    }

    /// Asks the library itself whether `probe`, which uses `name` and nothing else, has a meaning.
    fn exists(&mut self, name: &str, probe: &str) {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let operator = !word || name.starts_with('_');
        if operator || self.found.is_some() {
            return;
        }
        let context = Context::with_env(Arc::clone(self.language));
        let meaning = self.language.compile(probe).map(|program| program.execute(&context));
        if matches!(meaning, Ok(Err(ExecutionError::UndeclaredReference(_)))) {
            self.found = Some(name.to_owned());
        }
    }
}
