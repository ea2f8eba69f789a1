# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_apportion_global_optspecs
    string join \n h/help V/version
end

function __fish_apportion_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_apportion_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_apportion_using_subcommand
    set -l cmd (__fish_apportion_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c apportion -n "__fish_apportion_needs_command" -s h -l help -d 'Print help'
complete -c apportion -n "__fish_apportion_needs_command" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "serve" -d 'Serve the admission webhook and the scheduler extender'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "explain" -d 'Explain, step by step, which GPUs pods would get, and on which nodes they would fit'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "lint" -d 'Find errors and questionable settings in policies, plans, and the files of NVIDIA\'s components'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "render" -d 'Turn a sharing plan into the configuration of NVIDIA\'s components and the scheduler'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "audit" -d 'Report from DCGM metrics in Prometheus how GPUs were used, and which way of sharing would waste less'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "mig" -d 'Show the MIG profiles of GPU products, check geometries, and plan them for a demand'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "node-groups" -d 'Print the labels that node groups need so that autoscalers add nodes for governed pods'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "map" -d 'Show which pods share which GPUs'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "replay" -d 'Show how changed policies would affect the pods of a cluster, and whether they would still fit'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "test" -d 'Test policies against expected results'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "completion" -d 'Print a completion script for a shell'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l policies -d 'Directory of policies (*.yaml, *.yml, *.json), reloaded when they change. With --cluster, the default is ./policies; without it, they are added to the policies of the cluster and win over those of the same name' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l cluster -d 'Serve from this dump of a cluster, the output of `kubectl get nodes,namespaces,pods -A -o json` (default: the live cluster of the kubeconfig or the service account)' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l webhook-listen -d 'Address of the webhook (HTTPS)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-listen -d 'Address of the scheduler extender (HTTPS)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l admin-listen -d 'Address of /livez, /readyz, /metrics and /breaches (HTTP)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-cert -d 'PEM file with the server certificate and its issuers; reloaded when it changes' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-key -d 'PEM file with the private key of the certificate' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-self-signed-ca -d 'Write the CA of --tls-self-signed to this file, for clients to trust' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-secret -d 'The Secret of --tls-managed, in the namespace of this process' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-service -d 'The Service that the API server calls, in the namespace of this process; --tls-managed issues certificates for its names' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l webhook-configuration -d 'The `MutatingWebhookConfiguration` whose caBundle --tls-managed keeps up to date' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-ca-seconds -d 'Lifetime of the CA of --tls-managed in seconds, to test rotations' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-leaf-seconds -d 'Lifetime of the certificates of --tls-managed in seconds, to test renewals' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-client-ca -d 'Accept extender calls only from clients with a certificate signed by these CAs (PEM)' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l on-unknown -d 'What to do with GPU pods whose namespace is not known yet or names a policy that does not exist' -r -f -a "refuse\t'Reject them; controllers try again'
admit\t'Admit them unchanged'"
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l filter-answer-size -d 'How many nodes a filter call returns: the best, at most this many; or `all`' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l own-namespace -d 'The namespace of this process, whose pods are never changed' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l lease-name -d 'The Lease of the replica that writes Events and policy statuses, in the namespace of this process' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l pod-name -d 'The identity of this replica in Leases (default: apportion-PID)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l scheduler-name -d 'Set `spec.schedulerName` on governed GPU pods (default: unchanged)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-body-limit -d 'The largest extender request, in MiB; full nodes (nodeCacheCapable: false) need about 14 KiB each' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l drain-delay -d 'Seconds for which requests are still accepted after SIGTERM' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l reload-interval -d 'Seconds between checks of the policy files and the cluster file for changes' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l log -d 'What to log: off, error, warn, info, debug, trace, or a filter such as apportion=debug' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l log-format -d 'Format of log lines' -r -f -a "human\t'One line of text for each message'
json\t'One JSON object for each message'"
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l no-webhook -d 'Do not serve the webhook'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l no-extender -d 'Do not serve the extender'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-plain-http -d 'Serve the extender without TLS, for a scheduler in the same pod; only on a loopback address'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-self-signed -d 'Issue a certificate for this run, for trials'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed -d 'Issue certificates from a CA in a Secret that replicas share, and keep the caBundle of the webhook configuration up to date'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l bind -d 'Bind pods for the extender\'s bindVerb; with several replicas, the holder of the Lease NAME-bind does'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l preempt -d 'Preempt lower-priority pods when only Apportion\'s limits block a pod, unless its preemptionPolicy is Never; with several replicas, the holder of the Lease NAME-bind does'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s f -l filename -d 'Manifest of pods, or of objects that create pods: Deployment, Job, List and so on. `-` is standard input. May be repeated' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s n -l namespace -d 'Namespace of objects without one' -r
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l cluster -d 'Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l policies -d 'Directory of policies. With --cluster the default is ./policies; on a live cluster they are added to its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l set -d 'A value of the GPU Operator, as in `helm --set`' -r
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l operator-namespace -d 'The namespace of the GPU Operator\'s release, from which its pods mount their configuration' -r
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l policies -d 'The directory of policies [default: `policies`, or none if files are given]' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l cluster -d 'A cluster to check against: the output of `kubectl get nodes,namespaces,pods -A -o json`' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand lint" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s f -l filename -d 'The plan, a `GpuSharingPlan`. `-` is standard input' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l policies -d 'Policies to compare with the plan: reports rules that no pool offers, and pools that no policy allows' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l out -d 'Write the files to this directory instead of printing them' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l only -d 'Print only this file, such as gpu-operator-values.yaml' -r
complete -c apportion -n "__fish_apportion_using_subcommand render" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand render" -l check -d 'Write nothing; report files in `--out` that differ from the rendered ones'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l prometheus -d 'The Prometheus server, or a compatible one, such as `http://prometheus.monitoring:9090`' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l cluster -d 'The cluster, as printed by `kubectl get nodes,namespaces,pods -A -o json`. Default: the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l policies -d 'The policies. Default with --cluster: ./policies. On a live cluster they are added to its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l window -d 'How far back to look: 7d, 36h' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l step -d 'The resolution: one sample per step counts. At least the scrape interval' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l end -d 'The end of the window, such as 2026-11-20T00:00:00Z. Default: now' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l idle-below -d 'A GPU is idle while its utilization, in percent, is below this' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l prices -d 'Prices of a GPU hour: a YAML file with `currency`, `prices` by product, and `default`' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l selector -d 'Label matchers for every series, such as cluster="eu" if the server has several clusters' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l exporter-pods -d 'The names of exporter pods. A series that names one does not name the pod that holds the GPU' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l token-file -d 'A file with a bearer token for the server' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l username -d 'A user name for the server, with --password-file' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l password-file -d 'A file with the password of --username' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l ca-file -d 'PEM certificates of trusted CAs for https. Default: those of the system' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l timeout -d 'The time limit for one query' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l nodes-per-query -d 'Nodes per query. A query that is too large for the server is split' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l parallel -d 'Concurrent queries' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'
markdown\t'For issues and chats'
html\t'A single file for a browser'"
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l insecure-skip-tls-verify -d 'Accept any server certificate. An attacker on the network can then read the credentials and change the numbers'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -s h -l help -d 'Print help'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "show" -d 'Show products, or one product\'s profiles, IDs and slots'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "check" -d 'Check whether instances fit on one GPU, and print the command that creates them'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "plan" -d 'Find geometries for a demand, on the fewest GPUs'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l product -d 'A product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`. Without it, all products are listed' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l geometries -d 'List every geometry of the product to which no instance can be added'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l product -d 'The product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l output -d 'What to print: text for people, JSON for programs, or a configuration file for NVIDIA\'s mig-parted and its MIG manager' -r -f -a "text\t'For people'
json\t'For programs'
mig-parted\t'The configuration file alone'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l product -d 'The product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`. Without it, the GPUs that each product needs are listed' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l demand -d 'The required instances, such as 1g.10gb=9,3g.40gb=2' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l cluster -d 'Add the demand of pending pods, from the output of `kubectl get nodes,namespaces,pods -A -o json`' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l gpus -d 'The number of available GPUs. If more are needed, the exit status is 1' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l gpus-per-node -d 'The number of GPUs of a node. The output then has a mig-parted configuration for each kind of node instead of each geometry' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l output -d 'What to print: text for people, JSON for programs, or a configuration file for NVIDIA\'s mig-parted and its MIG manager' -r -f -a "text\t'For people'
json\t'For programs'
mig-parted\t'The configuration file alone'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l policies -d 'The directory of policies' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l product -d 'A product as GPU feature discovery labels it on a node without sharing and MIG, such as NVIDIA-A100-SXM4-80GB. Repeatable' -r
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l count -d 'The number of GPUs, MIG devices or shares on one node of the group [default: a placeholder]' -r
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand map" -l cluster -d 'Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand map" -l policies -d 'Directory of policies. With --cluster the default is ./policies; on a live cluster they are added to its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand map" -l node -d 'Show only nodes whose name matches: `*` matches any text, `?` one character. May be repeated' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -s n -l namespace -d 'Show only nodes with pods of matching namespaces, and only their waiting pods. May be repeated' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -l detail -d 'Above this number, each node is one cell that shows how full it is' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -l output -d 'What to print' -r -f -a "text\t'For the terminal'
json\t'For programs'
html\t'One page for a browser, in a single file'
svg\t'One image'"
complete -c apportion -n "__fish_apportion_using_subcommand map" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand map" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand map" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l policies -d 'Directory of the new policies' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l old -d 'Directory of the present policies; on a live cluster they are added to its own. Without any, pods that the new policies allow count as unchanged' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l cluster -d 'Cluster dump: the output of `kubectl get nodes,namespaces,pods -A -o json`. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand replay" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand test" -l policies -d 'Directory of policies for test files without `policies`' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand test" -l output -d 'The output format' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand test" -l color -d 'When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Also to a file or a pipe'
never\t'Without colors'"
complete -c apportion -n "__fish_apportion_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand test" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand completion" -s h -l help -d 'Print help'
complete -c apportion -n "__fish_apportion_using_subcommand completion" -s V -l version -d 'Print version'
