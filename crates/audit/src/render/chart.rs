//! Pictures in SVG. They hold shapes alone and stretch with the page; words and figures stand beside them as text.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is written once, and its code should look like the page"
)]

/// Utilization over time as an area, 0 to 100 per cent.
pub fn area(trend: &[Option<f64>], label: &str) -> String {
    let mut shapes = String::new();
    for (begin, run) in runs(trend) {
        let mut points = format!("{begin},100");
        for (at, value) in run.iter().enumerate() {
            let (left, right, y) = (begin + at, begin + at + 1, 100.0 - value.clamp(0.0, 100.0));
            points.push_str(&format!(" {left},{y:.1} {right},{y:.1}"));
        }
        points.push_str(&format!(" {},100", begin + run.len()));
        shapes.push_str(&format!("<polygon points=\"{points}\" fill=\"var(--busy)\"/>"));
    }
    let grid = [0, 25, 50, 75].map(|y| {
        format!(
            "<path d=\"M0 {y}H{}\" stroke=\"var(--line)\" stroke-width=\"1\" vector-effect=\"non-scaling-stroke\"/>",
            trend.len()
        )
    });
    svg("", trend.len(), 100, label, &(grid.concat() + &shapes))
}

/// The same, small: for a cell of a table.
pub fn spark(trend: &[Option<f64>], label: &str) -> String {
    let mut shapes = format!(
        "<path d=\"M0 100H{}\" stroke=\"var(--line)\" vector-effect=\"non-scaling-stroke\"/>",
        trend.len()
    );
    for (begin, run) in runs(trend) {
        let mut points = format!("{begin},100");
        for (at, value) in run.iter().enumerate() {
            points.push_str(&format!(
                " {}.5,{:.1}",
                begin + at,
                98.0 - value.clamp(0.0, 100.0) * 0.96
            ));
        }
        points.push_str(&format!(" {},100", begin + run.len()));
        shapes.push_str(&format!("<polygon points=\"{points}\" fill=\"var(--busy)\"/>"));
    }
    svg("spark", trend.len(), 100, label, &shapes)
}

/// The same as a strip of shades.
pub fn heat(trend: &[Option<f64>], label: &str) -> String {
    let mut shapes = format!("<rect width=\"{}\" height=\"1\" fill=\"var(--none)\"/>", trend.len());
    for (at, value) in trend.iter().enumerate() {
        if let Some(value) = value {
            // Something that was seen and did nothing is not the same as something that was not seen.
            let shade = 0.08 + value.clamp(0.0, 100.0) / 100.0 * 0.92;
            shapes.push_str(&format!(
                "<rect x=\"{at}\" width=\"1.03\" height=\"1\" fill=\"rgba(var(--heat),{shade:.2})\"/>"
            ));
        }
    }
    svg("heat", trend.len(), 1, label, &shapes)
}

fn svg(class: &str, width: usize, height: usize, label: &str, shapes: &str) -> String {
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {} {height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{shapes}</svg>",
        width.max(1),
        escaped(label)
    )
}

/// Stretches without a hole, each with its place.
fn runs(trend: &[Option<f64>]) -> Vec<(usize, Vec<f64>)> {
    let mut runs: Vec<(usize, Vec<f64>)> = Vec::new();
    for (at, value) in trend.iter().enumerate() {
        match (value, runs.last_mut()) {
            (Some(value), Some((begin, run))) if *begin + run.len() == at => run.push(*value),
            (Some(value), _) => runs.push((at, vec![*value])),
            (None, _) => {}
        }
    }
    runs
}

/// A text in HTML. Names come from a cluster, where anybody may choose them.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stay_holes() {
        let trend = [Some(1.0), Some(2.0), None, Some(3.0)];
        assert_eq!(runs(&trend), [(0, vec![1.0, 2.0]), (3, vec![3.0])]);
        assert_eq!(area(&trend, "x").matches("<polygon").count(), 2);
        assert_eq!(heat(&trend, "x").matches("rgba").count(), 3);
    }

    #[test]
    fn names_can_not_become_tags() {
        assert!(!spark(&[], "<script>\"").contains("<script"));
        assert_eq!(escaped("a<b>&'\""), "a&lt;b&gt;&amp;&#39;&quot;");
    }
}
