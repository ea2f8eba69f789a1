//! One replica: the product's parts, and a queue of calls to the API server.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use apportion::cluster::bindings::{self, BindGate};
use apportion::cluster::kind::{DeviceClasses, Namespaces, Nodes, Pods};
use apportion::cluster::lease::{CALL_TIMEOUT, Elector, LeaseConfig, RETRY_PERIOD, Term};
use apportion::cluster::periodic_tasks::PeriodicTasks;
use apportion::cluster::watch::Change;
use apportion::cluster::writer::Writer;
use apportion::server::endpoints::{Answer, Endpoints as _};
use apportion::service::bind::{BindError, BindLeadership, Binder, Binding, CallError, LivePod};
use apportion::service::{App, Clock, Handlers, Metrics, Settings, State};
use apportion_core::extender::bind::BindingArgs;
use apportion_core::inventory::{NodeEntry, PodRecord};
use apportion_core::k8s::Labels;
use apportion_core::policy::Policy;
use apportion_core::policy::parse::parse;
use axum::body::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::sync::watch;

use super::api_server::{Api, Event, Object, What};
use super::guarantees::{GuaranteeSet, NAMESPACES, NODES};

/// A call to the API server.
pub enum ApiCall {
    Look {
        key: String,
        reply: oneshot::Sender<Result<Option<LivePod>, CallError>>,
    },
    Bind {
        key: String,
        uid: String,
        node: String,
        reply: oneshot::Sender<Result<(), BindError>>,
    },
}

#[derive(Clone, Default)]
struct CallQueue(Arc<Mutex<Vec<ApiCall>>>);

impl std::fmt::Debug for CallQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallQueue")
    }
}

impl Binder for CallQueue {
    fn get_pod<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<LivePod>, CallError>> {
        let (reply, answer) = oneshot::channel();
        let key = format!("{namespace}/{name}");
        self.0.lock().unwrap().push(ApiCall::Look { key, reply });
        Box::pin(async { answer.await.unwrap() })
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        let (reply, answer) = oneshot::channel();
        self.0.lock().unwrap().push(ApiCall::Bind {
            key: format!("{}/{}", &*args.pod_namespace, &*args.pod_name),
            uid: args.pod_uid.to_string(),
            node: args.node.to_string(),
            reply,
        });
        Box::pin(async { answer.await.unwrap() })
    }
}

/// The state of the leader election task: the steps of `lease::hold`.
#[derive(Debug)]
pub enum LeaseStage {
    Rest {
        until: u64,
    },
    Look {
        begun: u64,
    },
    Write {
        begun: u64,
        lease: Box<Lease>,
        became: apportion::cluster::lease::Outcome,
    },
    Answer {
        begun: u64,
        became: apportion::cluster::lease::Outcome,
    },
    Notice {
        until: u64,
        leave: bool,
    },
    Leave {
        begun: u64,
    },
    LeaveWrite {
        begun: u64,
        lease: Box<Lease>,
    },
}

/// A list of all pods, which a replica needs before it may bind.
pub struct Listing {
    number: u64,
    bound: Option<Vec<PodRecord>>,
}

/// A binding that a scheduler waits for.
pub struct Running {
    pub key: String,
    answer: BoxFuture<'static, Answer>,
}

pub struct Replica {
    app: Arc<App>,
    handlers: Arc<Handlers>,
    writer: Writer,
    line: CallQueue,
    /// The next event that its watch delivers; `None` while the watch is broken.
    cursor: Option<usize>,
    known: BTreeSet<String>,
    pub holder: Elector,
    pub stage: LeaseStage,
    led: Option<Term>,
    opening: BindGate,
    listing: Option<Listing>,
    again: u64,
    may: watch::Sender<Option<Duration>>,
    wanted: Arc<AtomicBool>,
    pub running: Vec<Running>,
    /// The index of the policies that it has loaded.
    pub view: usize,
}

impl Replica {
    pub fn start(name: &str, clock: &Arc<AtomicU64>, view: usize, promises: &GuaranteeSet) -> Self {
        let app = App::new(State::default(), Settings::default(), Arc::new(Metrics::default()));
        let app = Arc::new(app.with_clock(Clock::manual(Arc::clone(clock))));
        let (may, until) = watch::channel(None);
        let (line, wanted) = (CallQueue::default(), Arc::new(AtomicBool::new(false)));
        let handlers = Arc::new(Handlers {
            binding: Some(Binding {
                binder: Arc::new(line.clone()),
                leadership: BindLeadership {
                    until,
                    wanted: Arc::clone(&wanted),
                },
            }),
            ..Handlers::new(Arc::clone(&app))
        });
        let mut writer = Writer::new(Arc::clone(&app), policies(promises), PeriodicTasks::new(None, None));
        for entry in NODE_ENTRIES.with(Clone::clone) {
            writer.apply::<Nodes>(Change::Put(entry.name.to_string(), entry));
        }
        writer.apply::<Nodes>(Change::Synced);
        for (space, policy, team) in NAMESPACES {
            let labels = Labels::from_iter([("apportion.dev/policy", policy), ("example.com/team", team)]);
            writer.apply::<Namespaces>(Change::Put(space.to_owned(), labels));
        }
        writer.apply::<Namespaces>(Change::Synced);
        writer.apply::<DeviceClasses>(Change::Synced);
        Replica {
            app,
            handlers,
            writer,
            line,
            cursor: None,
            known: BTreeSet::new(),
            holder: Elector::new(LeaseConfig {
                namespace: "n".to_owned(),
                name: "l".to_owned(),
                holder: name.to_owned(),
            }),
            stage: LeaseStage::Rest { until: 0 },
            led: None,
            opening: BindGate::default(),
            listing: None,
            again: 0,
            may,
            wanted,
            running: Vec::new(),
            view,
        }
    }

    /// The watch delivers up to `most` events. A broken one lists everything again.
    pub fn deliver(&mut self, api: &Api, most: usize) {
        let Some(cursor) = self.cursor else {
            let all: BTreeSet<String> = api.pods.keys().cloned().collect();
            for (key, record) in &api.records {
                self.writer
                    .apply::<Pods>(Change::Put(key.clone(), record.clone().map(Box::new)));
            }
            for gone in self.known.difference(&all) {
                self.writer.apply::<Pods>(Change::Gone(gone.clone()));
            }
            self.writer.apply::<Pods>(Change::Synced);
            self.known = all;
            self.cursor = Some(api.history.len());
            return;
        };
        let end = api.history.len().min(cursor.saturating_add(most));
        for Event { key, what } in &api.history[cursor..end] {
            match what {
                What::Put(record) => {
                    self.known.insert(key.clone());
                    self.writer
                        .apply::<Pods>(Change::Put(key.clone(), record.clone().map(Box::new)));
                }
                What::Gone => {
                    self.known.remove(key);
                    self.writer.apply::<Pods>(Change::Gone(key.clone()));
                }
            }
        }
        self.cursor = Some(end);
    }

    pub fn break_watch(&mut self) {
        self.cursor = None;
        self.writer.apply::<Pods>(Change::Broken("cut".to_owned()));
    }

    pub fn publish(&mut self) {
        self.writer.publish();
    }

    pub fn tick(&mut self) {
        self.writer.tick();
    }

    pub fn learn(&mut self, view: usize, promises: &GuaranteeSet) {
        self.writer.files(policies(promises));
        self.writer.publish();
        self.view = view;
    }

    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    pub fn is_open(&self, now: u64) -> bool {
        self.may
            .borrow()
            .is_some_and(|until| Duration::from_millis(now) < until)
    }

    pub fn reserved(&self) -> usize {
        self.app.reservations().len()
    }

    /// Handles the result of an attempt to hold the Lease.
    pub fn conclude(&mut self, became: apportion::cluster::lease::Outcome, begun: u64, now: u64) {
        self.led = self.holder.term(became, Duration::from_millis(begun));
        if self.led.is_some() {
            self.wanted.store(false, Ordering::Relaxed);
        }
        self.stage = match became {
            became if became.waits_for_calls() => LeaseStage::Notice {
                until: now + millis(CALL_TIMEOUT),
                leave: became.releases(),
            },
            _ => rest(now),
        };
        self.sit();
    }

    /// Publishes the term, unless the task waits for a list.
    fn sit(&mut self) {
        if self.listing.is_none() {
            self.may.send_replace(self.opening.until(self.led));
        }
    }

    /// The next step towards being allowed to bind. Returns whether there was one.
    pub fn open(&mut self, api: &Api, now: u64) -> bool {
        match self.listing.take() {
            None => {
                let Some(number) = self.opening.unlisted(self.led).filter(|_| now >= self.again) else {
                    self.sit();
                    return false;
                };
                self.listing = Some(Listing { number, bound: None });
            }
            Some(Listing { number, bound: None }) => {
                let bound = api.records.values().flatten().filter(|record| record.is_bound());
                let bound = bound.cloned().collect();
                self.listing = Some(Listing {
                    number,
                    bound: Some(bound),
                });
            }
            Some(Listing {
                number,
                bound: Some(bound),
            }) => {
                if bindings::reserve_unseen(&self.app, bound) {
                    self.opening.listed(number);
                } else {
                    self.again = now + 1000;
                }
                self.sit();
            }
        }
        true
    }

    /// The nodes that pass the filter.
    pub fn filter(&self, pod: &Object, nodes: &[&str]) -> Vec<String> {
        let body = format!(r#"{{"Pod":{},"NodeNames":{nodes:?}}}"#, pod.json());
        let answer = self.handlers.filter_now(body.as_bytes());
        if answer.status != 200 {
            return Vec::new();
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let names = answer["NodeNames"].as_array().into_iter().flatten();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    pub fn bind(&mut self, pod: &Object, node: &str) {
        let body = format!(
            r#"{{"PodName":"{}","PodNamespace":"{}","PodUID":"{}","Node":"{node}"}}"#,
            pod.name, pod.namespace, pod.uid
        );
        let answer = Arc::clone(&self.handlers).bind(Bytes::from(body));
        self.running.push(Running { key: pod.key(), answer });
    }

    /// Resumes all bindings. Returns new calls and the answers of finished bindings.
    pub fn resume(&mut self) -> (Vec<ApiCall>, Vec<(String, String)>) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut ended = Vec::new();
        self.running
            .retain_mut(|running| match running.answer.as_mut().poll(&mut context) {
                Poll::Pending => true,
                Poll::Ready(answer) => {
                    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                    ended.push((running.key.clone(), answer["Error"].as_str().unwrap().to_owned()));
                    false
                }
            });
        (std::mem::take(&mut *self.line.0.lock().unwrap()), ended)
    }
}

pub fn rest(now: u64) -> LeaseStage {
    LeaseStage::Rest {
        until: now + millis(RETRY_PERIOD),
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

thread_local! {
    /// Parsed policies. The same few occur in every run, and parsing YAML takes most of the time.
    static READ: RefCell<HashMap<String, Policy>> = RefCell::default();
    static NODE_ENTRIES: Vec<NodeEntry> = NODES
        .iter()
        .map(|machine| NodeEntry::new(serde_json::from_str(&machine.json()).unwrap()))
        .collect();
}

fn policies(promises: &GuaranteeSet) -> Vec<Policy> {
    let read = |text: String| {
        let policy = READ.with_borrow(|read| read.get(&text).cloned());
        policy.unwrap_or_else(|| {
            let policy = parse("p.yaml", &text).unwrap().remove(0);
            READ.with_borrow_mut(|read| read.insert(text, policy.clone()));
            policy
        })
    };
    promises.iter().map(|promise| read(promise.text())).collect()
}
