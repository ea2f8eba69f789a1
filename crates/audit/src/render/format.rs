//! Numbers and sentences that all output formats share.

use std::fmt::Write as _;

use crate::Report;
use crate::allocation::Scope;
use crate::recommendation::Recommendation;
use crate::window::real;
use apportion_core::diagnostics::counted;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `12.5`, `1,234`.
pub fn hours(hours: f64) -> String {
    if hours.abs() < 99.95 {
        format!("{hours:.1}")
    } else {
        grouped(hours)
    }
}

/// `12 %`, or `-` if unknown.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} %"))
}

/// `part` of `whole` in percent.
pub fn ratio(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.0} %", part / whole * 100.0)
    } else {
        "-".to_owned()
    }
}

/// An amount without its currency, or `-` if unknown.
pub fn money(amount: Option<f64>) -> String {
    match amount {
        None => "-".to_owned(),
        Some(amount) if amount.abs() < 99.995 => format!("{amount:.2}"),
        Some(amount) => grouped(amount),
    }
}

/// MiB as GiB, or `-` if unknown.
pub fn gibibytes(mebibytes: Option<f64>) -> String {
    mebibytes.map_or_else(|| "-".to_owned(), |mebibytes| format!("{:.1}", mebibytes / 1024.0))
}

/// A whole number with thousands separators.
fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, digits) = plain
        .strip_prefix('-')
        .map_or(("", plain.as_str()), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Utilization over time in at most `width` characters. Buckets without samples are blank.
pub fn sparkline(timeline: &[Option<f64>], width: usize) -> String {
    resample(timeline, width)
        .into_iter()
        .map(|value| match value {
            None => ' ',
            Some(value) => {
                let eighths = (value.clamp(0.0, 100.0) / 12.5).floor().min(7.0);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let index = eighths as usize;
                BARS[index]
            }
        })
        .collect()
}

/// Reduces a timeline to at most `width` buckets by taking means.
fn resample(timeline: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    if timeline.len() <= width {
        return timeline.to_vec();
    }
    (0..width)
        .map(|index| {
            let merged = &timeline[index * timeline.len() / width..(index + 1) * timeline.len() / width];
            let values: Vec<f64> = merged.iter().flatten().copied().collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / real(values.len() as u64))
        })
        .collect()
}

/// What was measured.
pub fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Own => "own",
        Scope::Device => "whole GPU's",
        Scope::Node => "node's",
    }
}

/// A recommendation in a few words.
pub fn recommendation(recommendation: &Recommendation) -> String {
    match (
        recommendation.change,
        recommendation.strategy,
        &recommendation.profile,
        recommendation.pods_per_gpu,
    ) {
        (false, Some(_), ..) => "keep whole GPUs".to_owned(),
        (false, None, ..) => "-".to_owned(),
        (true, strategy, profile, pods_per_gpu) => {
            let mut text = strategy.unwrap_or_default().to_owned();
            if let Some(profile) = profile {
                text.push(' ');
                text.push_str(profile);
            }
            if let Some(pods) = pods_per_gpu {
                let _ = write!(text, ", {pods} per GPU");
            }
            text
        }
    }
}

/// The most important numbers in sentences.
pub fn summary(report: &Report) -> Vec<String> {
    let (total, usage) = (&report.total, &report.total.usage);
    let currency = report.currency.as_deref().unwrap_or("");
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
            ratio(usage.idle_hours, usage.gpu_hours)
        ),
        format!(
            "Pods held {} GPU hours; {} idle hours are not known to belong to a pod.",
            hours(total.allocated_hours),
            hours(total.idle_unallocated_hours)
        ),
    ];
    if let (Some(cost), Some(idle_cost)) = (usage.cost, usage.idle_cost) {
        sentences.push(format!(
            "All GPU hours cost {} {currency}, of which {} {currency} ({}) went into idle hours.",
            money(Some(cost)),
            money(Some(idle_cost)),
            ratio(idle_cost, cost)
        ));
    }
    let changes = report.workloads.iter().filter(|row| row.recommendation.change).count();
    sentences.push(match (changes, total.saving) {
        (0, _) => "No workload should share GPUs differently.".to_owned(),
        (count, Some(saving)) => format!(
            "If {} shared GPUs as recommended, such a window would cost {} GPU hours less, {} {currency}.",
            counted(count, "workload"),
            hours(total.saving_hours),
            money(Some(saving))
        ),
        (count, None) => format!(
            "If {} shared GPUs as recommended, such a window would cost {} GPU hours less.",
            counted(count, "workload"),
            hours(total.saving_hours)
        ),
    });
    sentences
}

/// A UUID, shortened to fit into a column.
pub fn short_uuid(uuid: &str) -> String {
    if uuid.len() > 16 {
        format!("{}..", &uuid.chars().take(14).collect::<String>())
    } else {
        uuid.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_grouped() {
        assert_eq!(
            [0.04, 12.34, 99.94, 1234.5, 9_876_543.0].map(hours),
            ["0.0", "12.3", "99.9", "1,234", "9,876,543"]
        );
        assert_eq!([Some(-1234.0), Some(0.5), None].map(money), ["-1,234", "0.50", "-"]);
        assert_eq!(ratio(1.0, 0.0), "-");
    }

    #[test]
    fn sparklines_have_blanks_without_samples() {
        let timeline = [Some(0.0), Some(100.0), None, Some(50.0)];
        assert_eq!(sparkline(&timeline, 4), "▁█ ▅");
        assert_eq!(sparkline(&timeline, 2), "▅▅");
        assert_eq!(sparkline(&[], 4), "");
    }
}
