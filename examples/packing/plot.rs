//! Plots stranded GPUs over the month.

use std::fmt::Write as _;

use super::month::Month;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 44.0;
/// Colours of Okabe and Ito that colour-blind readers can distinguish, readable on light and dark
/// backgrounds.
const COLOURS: [&str; 3] = ["#d55e00", "#0072b2", "#009e73"];

/// Returns an SVG with one line per scoring. Each point is the mean of a day.
pub(crate) fn svg(months: &[(&str, Month)]) -> String {
    let days: Vec<Vec<f64>> = months.iter().map(|(_, month)| by_day(&month.stranded)).collect();
    let most = days.iter().flatten().fold(1.0f64, |a, b| a.max(*b));
    let top = (most / 10.0).ceil() * 10.0;
    let count = days.iter().map(Vec::len).max().unwrap_or(1).max(2);
    let x = |day: usize| LEFT + (WIDTH - LEFT - RIGHT) * number(day) / number(count - 1);
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" role="img">
<title>Stranded GPUs in a simulated month, by node scoring</title>
<style>text{{fill:#333}} .grid{{stroke:#ccc}} .back{{fill:#fff}} @media (prefers-color-scheme: dark){{text{{fill:#ddd}} .grid{{stroke:#555}} .back{{fill:#1b1b1f}}}}</style>
<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>
<text x="{LEFT}" y="20" font-size="15">Free GPUs that a whole-node job cannot use, of 160 GPUs, daily mean</text>
"#
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let at = y(value);
        let _ = writeln!(
            out,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{value:.0}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    for day in (0..count).step_by(5) {
        let _ = writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">day {}</text>"#,
            x(day),
            HEIGHT - BOTTOM + 20.0,
            day + 1
        );
    }
    for (index, ((name, month), (days, colour))) in months.iter().zip(days.iter().zip(COLOURS)).enumerate() {
        let points: Vec<String> = days
            .iter()
            .enumerate()
            .map(|(day, value)| format!("{:.1},{:.1}", x(day), y(*value)))
            .collect();
        let _ = writeln!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{}"/>"#,
            points.join(" ")
        );
        let left = LEFT + 270.0 * number(index);
        let _ = writeln!(
            out,
            r#"<rect x="{left}" y="32" width="14" height="4" fill="{colour}"/><text x="{}" y="39">{name}: {:.1} on average</text>"#,
            left + 20.0,
            month.stranded_mean()
        );
    }
    out.push_str("</svg>\n");
    out
}

fn by_day(hours: &[u64]) -> Vec<f64> {
    let mean = |day: &[u64]| number(usize::try_from(day.iter().sum::<u64>()).unwrap_or(0)) / number(day.len());
    hours.chunks(24).map(mean).collect()
}

#[allow(clippy::cast_precision_loss, reason = "thousands")]
fn number(count: usize) -> f64 {
    count as f64
}
