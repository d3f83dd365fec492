//! Tables of words stay a byte a component.
//!
//! The model is stored in bytes and computes with floats: `Cast` and `Mul` by a scale make a table of floats out of one of bytes.
//! For what is multiplied with, that pays. A table of thirty thousand words of which a text looks up a hundred would be 47 MB
//! of floats for nothing: its rows are looked up as bytes, and only those are made floats. The same numbers come out.

use tract_onnx::pb::{GraphProto, NodeProto};

/// `Gather(Mul(Cast(table), scale), at)` becomes `Mul(Cast(Gather(table, at)), Gather(scale, at))`, wherever rows are looked up in
/// a table of the file whose scale has one number a row.
pub(crate) fn look_up_narrow(graph: &mut GraphProto) {
    let nodes = graph
        .node
        .iter()
        .flat_map(|node| match Widened::looked_up_by(node, graph) {
            Some(table) => table.narrowed(node).to_vec(),
            None => vec![node.clone()],
        });
    graph.node = nodes.collect();
}

/// A table of floats, and what it is made of.
struct Widened<'a> {
    table: &'a str,
    scale: &'a str,
    cast: &'a NodeProto,
    mul: &'a NodeProto,
}

impl<'a> Widened<'a> {
    /// Which one `gather` looks rows up in.
    fn looked_up_by(gather: &NodeProto, graph: &'a GraphProto) -> Option<Self> {
        let rows = |name: &str| {
            let stored = graph.initializer.iter().find(|stored| stored.name == name)?;
            (stored.dims.len() == 2).then(|| stored.dims.first().copied())?
        };
        let made_by = |kind: &str, name: &str| {
            let mut made = graph.node.iter();
            made.find(|node| node.op_type == kind && node.output.iter().any(|output| output == name))
        };
        let by_row = gather
            .attribute
            .iter()
            .all(|attribute| attribute.name != "axis" || attribute.i == 0);
        let [floats, _] = gather.input.as_slice() else {
            return None;
        };
        let mul = made_by("Mul", floats)?;
        let [wide, scale] = mul.input.as_slice() else {
            return None;
        };
        let cast = made_by("Cast", wide)?;
        let [table] = cast.input.as_slice() else {
            return None;
        };
        (gather.op_type == "Gather" && by_row && rows(table)? == rows(scale)?).then_some(Self {
            table,
            scale,
            cast,
            mul,
        })
    }

    /// The same rows by another way. What made the whole table of floats is nobody's then, and is left out of the plan.
    fn narrowed(&self, gather: &NodeProto) -> [NodeProto; 4] {
        let result = gather.output.first().cloned().unwrap_or_default();
        let named = |what: &str| format!("{result}.{what}");
        let step = |like: &NodeProto, what: &str, inputs: &[&str], output: String| NodeProto {
            name: named(what),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output],
            ..like.clone()
        };
        let at = gather.input.last().map_or("", String::as_str);
        [
            step(gather, "bytes", &[self.table, at], named("bytes")),
            step(gather, "scale", &[self.scale, at], named("scale")),
            step(self.cast, "floats", &[&named("bytes")], named("floats")),
            step(
                self.mul,
                "scaled",
                &[&named("floats"), &named("scale")],
                result.clone(),
            ),
        ]
    }
}
