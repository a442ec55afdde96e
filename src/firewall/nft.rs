//! Talks to the kernel through the `nft` program: whole transactions, of JSON where they
//! are not long.

use serde_json::{Value, json};

use super::child::{OwnTools, Tool, ToolError};
use super::names::TABLE;

/// The `nft` program.
#[derive(Clone, Debug)]
pub(super) struct Nft {
    tool: Tool,
}

impl Nft {
    pub(super) fn find(own: OwnTools) -> Result<Self, ToolError> {
        Ok(Self { tool: Tool::find("nft", "nftables", own)? })
    }

    /// One transaction: all commands or none.
    pub(super) fn apply(&self, commands: &[Value]) -> Result<(), ToolError> {
        self.send(&["-j", "-f", "-"], commands)
    }

    /// The same in nft's own language, which it reads sooner than JSON.
    pub(super) fn apply_text(&self, text: &str) -> Result<(), ToolError> {
        self.tool.run(&["-f", "-"], text.as_bytes()).map(drop)
    }

    /// Would the kernel accept this? Changes nothing.
    pub(super) fn check(&self, commands: &[Value]) -> Result<(), ToolError> {
        self.send(&["-c", "-j", "-f", "-"], commands)
    }

    fn send(&self, arguments: &[&str], commands: &[Value]) -> Result<(), ToolError> {
        let text = json!({ "nftables": commands }).to_string();
        self.tool.run(arguments, text.as_bytes()).map(drop)
    }

    /// What is in our table, without the elements of its sets; empty if it is not there.
    ///
    /// The whole family is listed: for anything less nft (1.0.6) reads every element of every set,
    /// even where it prints none, and that takes seconds for large ones.
    pub(super) fn table(&self) -> Result<Vec<Value>, ToolError> {
        let answer = self.tool.run(&["-j", "-t", "list", "ruleset", "inet"], b"")?;
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(|e| ToolError::Run { tool: "nft", source: std::io::Error::other(e) })?;
        let Value::Array(objects) = answer["nftables"].take() else { return Ok(Vec::new()) };
        let ours = |object: &Value| {
            let body = object.as_object().and_then(|object| object.values().next());
            body.is_some_and(|body| body["table"] == TABLE || body["name"] == TABLE)
        };
        Ok(objects.into_iter().filter(ours).collect())
    }
}
