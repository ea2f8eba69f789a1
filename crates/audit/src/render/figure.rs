//! Figures as people read them.

use crate::Report;
use crate::advice::Advice;
use crate::holding::Scope;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Hours: `1,234`, `12.5`.
pub fn hours(hours: f64) -> String {
    if hours.abs() < 99.95 {
        format!("{hours:.1}")
    } else {
        grouped(hours)
    }
}

/// Per cent, or a dash.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} %"))
}

/// A part of a whole in per cent.
pub fn part(of: f64, all: f64) -> String {
    if all > 0.0 {
        format!("{:.0} %", of / all * 100.0)
    } else {
        "-".to_owned()
    }
}

/// An amount without its currency, or a dash.
pub fn money(amount: Option<f64>) -> String {
    match amount {
        None => "-".to_owned(),
        Some(amount) if amount.abs() < 99.995 => format!("{amount:.2}"),
        Some(amount) => grouped(amount),
    }
}

/// MiB as GiB.
pub fn gibibytes(mebibytes: Option<f64>) -> String {
    mebibytes.map_or_else(|| "-".to_owned(), |mebibytes| format!("{:.1}", mebibytes / 1024.0))
}

/// A whole number with commas between thousands.
fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, digits) = plain
        .strip_prefix('-')
        .map_or(("", plain.as_str()), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Utilization over time in `width` characters; a blank where nothing was seen.
pub fn sparkline(trend: &[Option<f64>], width: usize) -> String {
    merged(trend, width)
        .into_iter()
        .map(|value| match value {
            None => ' ',
            Some(value) => {
                let eighths = (value.clamp(0.0, 100.0) / 12.5).floor().min(7.0);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let place = eighths as usize;
                BARS[place]
            }
        })
        .collect()
}

/// Fewer buckets: the mean of those that fall together.
pub fn merged(trend: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    if trend.len() <= width {
        return trend.to_vec();
    }
    (0..width)
        .map(|at| {
            let part = &trend[at * trend.len() / width..(at + 1) * trend.len() / width];
            let seen: Vec<f64> = part.iter().flatten().copied().collect();
            (!seen.is_empty()).then(|| seen.iter().sum::<f64>() / f64::from(u32::try_from(seen.len()).unwrap_or(1)))
        })
        .collect()
}

/// Whose value it is, in a word.
pub fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Own => "own",
        Scope::Device => "whole GPU's",
        Scope::Node => "node's",
    }
}

/// What to do, in few words.
pub fn advice(advice: &Advice) -> String {
    match (advice.change, advice.strategy, &advice.profile, advice.per_gpu) {
        (false, Some(_), ..) => "keep whole GPUs".to_owned(),
        (false, None, ..) => "-".to_owned(),
        (true, strategy, profile, per_gpu) => {
            let mut text = strategy.unwrap_or_default().to_owned();
            if let Some(profile) = profile {
                text.push(' ');
                text.push_str(profile);
            }
            if let Some(per_gpu) = per_gpu {
                text.push_str(", ");
                text.push_str(&per_gpu.to_string());
                text.push_str(" a GPU");
            }
            text
        }
    }
}

/// What a manager wants to know, in sentences.
pub fn summary(report: &Report) -> Vec<String> {
    let (total, usage) = (&report.total, &report.total.usage);
    let unit = report.currency.as_deref().unwrap_or("");
    let mut sentences = vec![
        format!(
            "{} to {}: {} hours in steps of {} s; idle means below {} % utilization.",
            report.window.start,
            report.window.end,
            hours(report.window.hours),
            report.window.step_seconds,
            report.window.idle_below_percent
        ),
        format!(
            "{} GPUs ({} devices) gave {} GPU hours. They were used {} on average, and idle for {} hours ({}).",
            total.gpus,
            total.devices,
            hours(usage.gpu_hours),
            percent(usage.mean_percent),
            hours(usage.idle_hours),
            part(usage.idle_hours, usage.gpu_hours)
        ),
        format!(
            "Pods held {} GPU hours; {} idle hours were nobody's.",
            hours(total.held_hours),
            hours(total.idle_unheld_hours)
        ),
    ];
    if let (Some(cost), Some(wasted)) = (usage.cost, usage.wasted) {
        sentences.push(format!(
            "That cost {} {unit}, of which {} {unit} ({}) went into idle hours.",
            money(Some(cost)),
            money(Some(wasted)),
            part(wasted, cost)
        ));
    }
    let changes = report.workloads.iter().filter(|row| row.advice.change).count();
    sentences.push(match (changes, total.saving) {
        (0, _) => "No workload should be shared otherwise than it is.".to_owned(),
        (count, Some(saving)) => format!(
            "Sharing {count} workload{} otherwise would save {} GPU hours, {} {unit}, in such a time.",
            plural(count),
            hours(total.saving_hours),
            money(Some(saving))
        ),
        (count, None) => format!(
            "Sharing {count} workload{} otherwise would save {} GPU hours in such a time.",
            plural(count),
            hours(total.saving_hours)
        ),
    });
    sentences
}

/// A UUID that fits into a column.
pub fn short(uuid: &str) -> String {
    if uuid.len() > 16 {
        format!("{}..", &uuid.chars().take(14).collect::<String>())
    } else {
        uuid.to_owned()
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [0.04, 12.34, 99.94, 1234.5, 9_876_543.0].map(hours),
            ["0.0", "12.3", "99.9", "1,234", "9,876,543"]
        );
        assert_eq!([Some(-1234.0), Some(0.5), None].map(money), ["-1,234", "0.50", "-"]);
        assert_eq!(part(1.0, 0.0), "-");
    }

    #[test]
    fn sparklines_show_holes() {
        let trend = [Some(0.0), Some(100.0), None, Some(50.0)];
        assert_eq!(sparkline(&trend, 4), "▁█ ▅");
        assert_eq!(sparkline(&trend, 2), "▅▅");
        assert_eq!(sparkline(&[], 4), "");
    }
}
