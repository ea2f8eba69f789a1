//! Parses the limits of a policy.

use std::num::NonZeroU32;

use serde_saphyr::Spanned;

use super::document::LimitsEntry;
use super::model::Rule;
use crate::diagnostics::reader::Reader;
use crate::gpu::Strategy;
use crate::policy::{Limits, MemoryLimit};

/// Reads the limits of a policy with these rules, and the key of the label that names tenants.
pub(super) fn read_limits(
    reader: &mut Reader,
    entry: &Spanned<LimitsEntry>,
    rules: &[Rule],
) -> (Limits, Option<Box<str>>) {
    let LimitsEntry {
        shares_per_gpu,
        memory,
        undeclared_memory,
        tenants,
        tenant_label,
    } = &entry.value;
    let mut limits = Limits::default();
    if let Some(count) = shares_per_gpu {
        limits.shares_per_gpu = u32::try_from(count.value).ok().and_then(NonZeroU32::new);
        if limits.shares_per_gpu.is_none() {
            let message = format!("`{}` is not a valid number of shares; use 1 or more", count.value);
            reader.error(count, "spec.limits.sharesPerGPU", message);
        }
    }
    if let Some(text) = memory {
        match MemoryLimit::ALL.into_iter().find(|limit| limit.as_str() == text.value) {
            Some(limit) => limits.memory = limit,
            None => reader.error(
                text,
                "spec.limits.memory",
                format!("`{}` is not a memory limit; use Unchecked, Total or PerGPU", text.value),
            ),
        }
    }
    if let Some(text) = undeclared_memory {
        let field = "spec.limits.undeclaredMemory";
        match crate::gpu::demand::parse_memory(&text.value) {
            Ok(memory) => limits.undeclared_memory = memory,
            Err(error) => reader.error(text, field, error.to_string()),
        }
        if limits.memory == MemoryLimit::Unchecked {
            reader.error(
                text,
                field,
                "has no effect without memory: Total or memory: PerGPU; add one of them, or remove this",
            );
        }
    }
    if let Some(text) = tenants {
        match text.value.as_str() {
            "Apart" => limits.tenants_apart = true,
            "Together" => {}
            other => reader.error(
                text,
                "spec.limits.tenants",
                format!("`{other}` is neither Together nor Apart; use one of them"),
            ),
        }
    }
    if let Some(key) = tenant_label {
        reader.label_key(&key.value, key, "spec.limits.tenantLabel");
    }
    let shares_gpus = |rule: &Rule| matches!(rule.sharing.strategy, Strategy::Mps | Strategy::TimeSlicing);
    if !limits.is_empty() && !rules.is_empty() && !rules.iter().any(shares_gpus) {
        let message = "limits apply to shares of GPUs, but the policy allows none: pods never share whole GPUs and MIG devices; remove the limits, or add mps or time-slicing";
        reader.error(entry, "spec.limits", message);
    }
    if limits.memory != MemoryLimit::Unchecked
        && !rules.is_empty()
        && !rules.iter().any(|rule| rule.sharing.strategy == Strategy::TimeSlicing)
        && let Some(text) = memory
    {
        let message = "applies to time-slicing, which the policy does not allow: MPS shares and MIG devices have memory of their own, which declared memory is always checked against; remove it";
        reader.error(text, "spec.limits.memory", message);
    }
    (limits, tenant_label.as_ref().map(|key| key.value.as_str().into()))
}

#[cfg(test)]
mod tests {
    use crate::policy::parse::parse;

    fn read(limits: &str, strategy: &str) -> Result<String, String> {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: p}}\nspec:\n  limits: {limits}\n  strategies: [{strategy}]\n"
        );
        match parse("p.yaml", &text) {
            Ok(policies) => Ok(policies[0].limits.to_string()),
            Err(findings) => Err(findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn limits_are_parsed_and_displayed() {
        for (limits, displayed) in [
            ("{}", "no limits"),
            ("{sharesPerGPU: 2}", "at most 2 shares a GPU"),
            (
                "{memory: Total, undeclaredMemory: 4Gi}",
                "declared memory within that of the node's GPUs; 4Gi where none is declared",
            ),
            (
                "{memory: PerGPU, tenants: Apart, tenantLabel: example.com/team}",
                "declared memory within that of one GPU; tenants apart",
            ),
            ("{tenants: Together}", "no limits"),
        ] {
            assert_eq!(
                read(limits, "{strategy: time-slicing}").as_deref(),
                Ok(displayed),
                "{limits}"
            );
        }
    }

    #[test]
    fn each_error_has_a_location_and_a_fix() {
        let slices = "{strategy: time-slicing}";
        for (limits, strategy, location, text) in [
            ("{sharesPerGPU: 0}", slices, "p.yaml:5:26", "use 1 or more"),
            (
                "{sharesPerGPU: -2}",
                slices,
                "p.yaml:5:26",
                "`-2` is not a valid number of shares",
            ),
            ("{sharesPerGpu: 2}", slices, "p.yaml:5:12", "sharesPerGPU"),
            ("{memory: All}", slices, "p.yaml:5:20", "use Unchecked, Total or PerGPU"),
            (
                "{memory: Total, undeclaredMemory: 4GiB}",
                slices,
                "p.yaml:5:45",
                "is not a quantity",
            ),
            ("{undeclaredMemory: 4Gi}", slices, "p.yaml:5:30", "add one of them"),
            ("{tenants: apart}", slices, "p.yaml:5:21", "neither Together nor Apart"),
            ("{tenantLabel: a b}", slices, "p.yaml:5:25", "is not a valid label key"),
            (
                "{sharesPerGPU: 2}",
                "{strategy: exclusive}",
                "p.yaml:5:11",
                "allows none",
            ),
            (
                "{memory: Total}",
                "{strategy: mps}",
                "p.yaml:5:20",
                "have memory of their own",
            ),
        ] {
            let error = read(limits, strategy).unwrap_err();
            assert!(error.contains(location) && error.contains(text), "{limits}: {error}");
        }
    }
}
