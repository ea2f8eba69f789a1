use apportion::*;
#[test]
fn smoke() {
    let inv = inventory::dump::read(&std::fs::read_to_string("examples/cluster/cluster.json").unwrap())
        .unwrap()
        .build();
    let texts: Vec<(String, String)> = std::fs::read_dir("policies")
        .unwrap()
        .map(|e| {
            let p = e.unwrap().path();
            (p.display().to_string(), std::fs::read_to_string(&p).unwrap())
        })
        .collect();
    let pols =
        policy::PolicySet::new(policy::parse::parse_all(texts.iter().map(|(a, b)| (a.as_str(), b.as_str()))).unwrap());
    for n in inv.nodes() {
        println!(
            "{:12} open={} paused={:?} {:?} problems {:?}",
            n.name,
            n.open,
            n.offers.paused,
            n.offers
                .offers
                .iter()
                .map(|o| format!("{o} {}/{}", n.free(o), o.total))
                .collect::<Vec<_>>(),
            n.offers.problems.iter().map(|p| p.short).collect::<Vec<_>>()
        );
    }
    let mut files: Vec<_> = std::fs::read_dir("examples/pods")
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for f in files {
        let v: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&f).unwrap()).unwrap();
        if v["kind"] != "Pod" {
            continue;
        }
        let text = v.to_string();
        let pod: object::Pod<'_> = serde_json::from_str(&text).unwrap();
        let ns = pod.metadata.namespace.as_deref().unwrap();
        let policy::Governed::By(p) = decision::governing(&pols, &inv, ns, &pod.metadata.labels) else {
            println!("{f:?}: ungoverned");
            continue;
        };
        let demand = gpu::PodDemand::of(&pod).unwrap();
        let d = decision::decide(&decision::Question {
            pod: &pod,
            demand: &demand,
            policy: p,
            inventory: &inv,
            claims: &inventory::Claims::default(),
        });
        match d.outcome {
            Ok(g) => {
                println!(
                    "{f:?}: {} {}\n   {:?}\n   {:?}",
                    g.demand,
                    g.because,
                    g.warnings,
                    g.requirements.iter().map(ToString::to_string).collect::<Vec<_>>()
                );
                println!(
                    "   {}",
                    serde_json::to_string(&rewrite::patch(&pod, &rewrite::edits(&pod, &p.name, &g))).unwrap()
                );
            }
            Err(e) => println!("{f:?}: DENIED {e}"),
        }
    }
}
