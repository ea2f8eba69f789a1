//! Charts as inline SVG. They contain only shapes and stretch with the page; text and numbers are
//! HTML around them.

use maud::{Markup, html};

/// Utilization over time as an area chart, 0 to 100 percent.
pub(super) fn area(timeline: &[Option<f64>], label: &str) -> Markup {
    let shapes = html! {
        @for y in [0, 25, 50, 75] {
            path d=(format_args!("M0 {y}H{}", timeline.len())) stroke="var(--line)" stroke-width="1"
                vector-effect="non-scaling-stroke" {}
        }
        @for (start, run) in runs(timeline) {
            polygon points=(steps(start, &run)) fill="var(--busy)" {}
        }
    };
    svg(None, timeline.len(), 100, label, &shapes)
}

/// A small area chart for a table cell.
pub(super) fn spark(timeline: &[Option<f64>], label: &str) -> Markup {
    let shapes = html! {
        path d=(format_args!("M0 100H{}", timeline.len())) stroke="var(--line)" vector-effect="non-scaling-stroke" {}
        @for (start, run) in runs(timeline) {
            polygon points=(line(start, &run)) fill="var(--busy)" {}
        }
    };
    svg(Some("spark"), timeline.len(), 100, label, &shapes)
}

/// Utilization over time as a strip of shades.
pub(super) fn heat(timeline: &[Option<f64>], label: &str) -> Markup {
    let shapes = html! {
        rect width=(timeline.len()) height="1" fill="var(--none)" {}
        @for (x, value) in timeline.iter().enumerate() {
            @if let Some(value) = value {
                // An idle device must look different from one without samples.
                @let shade = 0.08 + value.clamp(0.0, 100.0) / 100.0 * 0.92;
                rect x=(x) width="1.03" height="1" fill=(format_args!("rgba(var(--heat),{shade:.2})")) {}
            }
        }
    };
    svg(Some("heat"), timeline.len(), 1, label, &shapes)
}

fn svg(class: Option<&str>, width: usize, height: usize, label: &str, shapes: &Markup) -> Markup {
    html! {
        svg class=[class] viewBox=(format_args!("0 0 {} {height}", width.max(1))) preserveAspectRatio="none" role="img"
            aria-label=(label) { (shapes) }
    }
}

/// The points of a polygon with one flat step per bucket.
fn steps(start: usize, values: &[f64]) -> String {
    let tops = values.iter().enumerate().flat_map(|(offset, value)| {
        let y = 100.0 - value.clamp(0.0, 100.0);
        [start + offset, start + offset + 1].map(|x| format!("{x},{y:.1}"))
    });
    polygon(start, values.len(), tops)
}

/// The points of a polygon with one point in the middle of each bucket.
fn line(start: usize, values: &[f64]) -> String {
    let tops = values.iter().enumerate().map(|(offset, value)| {
        let y = 98.0 - value.clamp(0.0, 100.0) * 0.96;
        format!("{}.5,{y:.1}", start + offset)
    });
    polygon(start, values.len(), tops)
}

/// Closes a polygon at the bottom of the chart.
fn polygon(start: usize, buckets: usize, tops: impl Iterator<Item = String>) -> String {
    let corners = [format!("{start},100"), format!("{},100", start + buckets)];
    let [first, last] = corners;
    let points: Vec<String> = std::iter::once(first).chain(tops).chain([last]).collect();
    points.join(" ")
}

/// The runs of consecutive buckets that have a value, each with the index of its first bucket.
fn runs(timeline: &[Option<f64>]) -> Vec<(usize, Vec<f64>)> {
    let mut runs: Vec<(usize, Vec<f64>)> = Vec::new();
    for (index, value) in timeline.iter().enumerate() {
        match (value, runs.last_mut()) {
            (Some(value), Some((start, run))) if *start + run.len() == index => run.push(*value),
            (Some(value), _) => runs.push((index, vec![*value])),
            (None, _) => {}
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_samples_leave_a_gap() {
        let timeline = [Some(1.0), Some(2.0), None, Some(3.0)];
        assert_eq!(runs(&timeline), [(0, vec![1.0, 2.0]), (3, vec![3.0])]);
        assert_eq!(area(&timeline, "x").0.matches("<polygon").count(), 2);
        assert_eq!(heat(&timeline, "x").0.matches("rgba").count(), 3);
        assert_eq!(steps(0, &[1.0, 2.0]), "0,100 0,99.0 1,99.0 1,98.0 2,98.0 2,100");
        assert_eq!(line(3, &[50.0]), "3,100 3.5,50.0 4,100");
    }

    #[test]
    fn labels_are_escaped() {
        let svg = spark(&[], "<script>\"").0;
        assert!(svg.contains("aria-label=\"&lt;script&gt;&quot;\""), "{svg}");
    }
}
