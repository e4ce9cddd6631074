//! Stands in for the readers of nodes that the pipeline's room is to have, under the names that they have there.

use std::time::Duration;

use crate::pipeline::model::{Node, Text, Value};

pub trait NodeExt {
    fn get(&self, key: &str) -> Option<&Node>;
    fn as_text(&self) -> Option<&Text>;
    fn as_list(&self) -> Option<&[Node]>;
    fn as_u64(&self) -> Option<u64>;
    fn as_bool(&self) -> Option<bool>;
    fn as_duration(&self) -> Option<Duration>;
    fn as_public(&self) -> Option<String> {
        self.as_text().map(Text::public)
    }
}

impl NodeExt for Node {
    fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }
    fn as_text(&self) -> Option<&Text> {
        if let Value::Scalar { text, .. } = &self.value { Some(text) } else { None }
    }
    fn as_list(&self) -> Option<&[Node]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }
    fn as_u64(&self) -> Option<u64> {
        self.as_public()?.parse().ok()
    }
    fn as_bool(&self) -> Option<bool> {
        self.as_public()?.parse().ok()
    }
    fn as_duration(&self) -> Option<Duration> {
        let text = self.as_public()?;
        text.strip_suffix("ms")
            .map(|n| n.parse().map(Duration::from_millis))
            .or_else(|| text.strip_suffix('s').map(|n| n.parse().map(Duration::from_secs)))?
            .ok()
    }
}
