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
complete -c apportion -n "__fish_apportion_needs_command" -f -a "explain" -d 'Show, step by step, what would become of pods, and where they would fit'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "lint" -d 'Find what is wrong or doubtful in policies, plans, and the files of NVIDIA\'s components'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "render" -d 'Turn a sharing plan into the configuration of NVIDIA\'s components and the scheduler'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "audit" -d 'Report how GPUs were used and wasted, by DCGM metrics in Prometheus, and which way of sharing would waste less'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "mig" -d 'Show what MIG profiles products have, check geometries, and plan them for a demand'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "node-groups" -d 'Print the labels that node groups must carry for autoscalers to start nodes for the policies\' pods'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "map" -d 'Draw who shares which GPU node with whom'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "replay" -d 'Find what a change of policies would change for the pods of a cluster, and whether they would still fit'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "test" -d 'Hold policies against expected outcomes'
complete -c apportion -n "__fish_apportion_needs_command" -f -a "completion" -d 'Print a completion script for a shell'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l policies -d 'Directory of policies (*.yaml, *.yml, *.json); changes are taken over while running. With --cluster, ./policies by default; without it, they stand beside the cluster\'s own and win over those of the same name' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l cluster -d 'Serve this dump of a cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig or the service account' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l webhook-listen -d 'Address of the webhook (HTTPS)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-listen -d 'Address of the scheduler extender (HTTPS)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l admin-listen -d 'Address of /livez, /readyz, /metrics and /breaches (HTTP)' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-cert -d 'PEM file with the server\'s certificate and its issuers; read again when it changes' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-key -d 'PEM file with the certificate\'s key' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-self-signed-ca -d 'Write the authority of --tls-self-signed here, for clients to trust' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-secret -d 'The Secret of --tls-managed, in our own namespace' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-service -d 'The Service that the API server calls, in our own namespace; --tls-managed signs for its names' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l webhook-configuration -d 'The `MutatingWebhookConfiguration` whose caBundle --tls-managed keeps right' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-ca-seconds -d 'Seconds that the authority of --tls-managed lives; to try rollovers out' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed-leaf-seconds -d 'Seconds that certificates of --tls-managed live; to try renewals out' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-client-ca -d 'Take extender calls only from clients with a certificate of these authorities (PEM)' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l on-unknown -d 'What to do with GPU pods whose namespace is not known yet, or names a policy that does not exist' -r -f -a "refuse\t'Turn them away; controllers try again'
admit\t'Let them pass as they are'"
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l filter-answer-size -d 'How many nodes a filter call answers: at most a number, and of these only the best; or `all`' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l own-namespace -d 'Our own namespace, whose pods pass untouched' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l lease-name -d 'The Lease in our own namespace that one replica holds at a time: the one that writes Events and statuses of policies' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l pod-name -d 'What this replica calls itself in the Lease' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l scheduler-name -d 'The scheduler that governed GPU pods are given to; without it theirs stays' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-body-limit -d 'The largest extender body, in MiB; full nodes (nodeCacheCapable: false) need about 14 KiB each' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l drain-delay -d 'Seconds for which requests are still taken after SIGTERM' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l reload-interval -d 'Seconds between looks at the files of policies and cluster' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l log -d 'What to log: off, error, warn, info, debug, trace, or a filter such as apportion=debug' -r
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l log-format -d 'How log lines look' -r -f -a "human\t'One line for a person'
json\t'One JSON object a line'"
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l no-webhook -d 'Serve no webhook'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l no-extender -d 'Serve no extender'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l extender-plain-http -d 'Serve the extender without TLS, for a scheduler in the same pod; on a loopback address only'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-self-signed -d 'Make a certificate for this run, to try things out'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l tls-managed -d 'Sign certificates with an authority of our own, kept in a Secret that replicas share, and keep the caBundle of the webhook configuration right'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l bind -d 'Bind pods, as the extender\'s bindVerb asks: of several replicas the one that holds the Lease NAME-bind'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -l preempt -d 'Evict pods of lower priority for one that in-tree filters let in somewhere and only a policy\'s limits keep out, unless its preemptionPolicy is Never; who holds the Lease NAME-bind does'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand serve" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s f -l filename -d 'A manifest that holds pods, or what makes pods: Deployment, Job, List and so on. `-` is standard input. May be repeated' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s n -l namespace -d 'The namespace of objects that name none' -r
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l cluster -d 'The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l policies -d 'The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand explain" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand explain" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l set -d 'A value of the GPU Operator, as `helm --set` takes it' -r
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l operator-namespace -d 'The namespace of the GPU Operator\'s release, where its pods mount what they are configured by' -r
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l policies -d 'The policies; by default those in `policies`, or none where files are given' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l cluster -d 'A cluster to hold them against: what `kubectl get nodes,namespaces,pods -A -o json` prints' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand lint" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand lint" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s f -l filename -d 'The plan: a `GpuSharingPlan`. `-` is standard input' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l policies -d 'Policies to hold it against: what they allow and no pool gives, and the other way around' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l out -d 'Where to write the files. Without it all of them are printed' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand render" -l only -d 'Print one file alone, such as gpu-operator-values.yaml' -r
complete -c apportion -n "__fish_apportion_using_subcommand render" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand render" -l check -d 'Write nothing; say which files in `--out` are not what the plan makes'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand render" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l prometheus -d 'The Prometheus server, or what speaks its HTTP API, such as `http://prometheus.monitoring:9090`' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l cluster -d 'The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l policies -d 'The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l window -d 'How far back to look: 7d, 36h' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l step -d 'How close to look: one sample of each step counts. Not shorter than the scrape interval' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l end -d 'When the window ends, such as 2026-11-20T00:00:00Z; now by default' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l idle-below -d 'Below this utilization, in per cent, a GPU is idle' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l prices -d 'What an hour of each product costs: a YAML file with `currency`, `prices` by product, and `default`' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l selector -d 'Matchers for every series, where one server holds several clusters: cluster="eu"' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l exporter-pods -d 'Pods that are exporters: their name on a series is not that of who holds the GPU' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l token-file -d 'A file with a bearer token for the server' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l username -d 'A name for the server, with --password-file' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l password-file -d 'A file with the password that belongs to --username' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l ca-file -d 'PEM certificates of the authorities to trust for https; the system\'s by default' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l timeout -d 'How long one answer may take' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l nodes-per-query -d 'How many nodes one question is about. Fewer when the server says that it is too much' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l parallel -d 'How many questions are asked at a time' -r
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l output -d 'What to print: text for people, markdown to paste, html for a browser, JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'
markdown\t'For issues and chats'
html\t'One file for a browser'"
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand audit" -l insecure-skip-tls-verify -d 'Take any certificate of the server. Somebody in between can then read the login and change the numbers'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand audit" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -s h -l help -d 'Print help'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "show" -d 'Show products, or one product\'s profiles, IDs and slots'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "check" -d 'Say whether instances fit on one GPU, and what to type'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and not __fish_seen_subcommand_from show check plan" -f -a "plan" -d 'Find geometries for a demand, on the fewest GPUs'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l product -d 'A product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`. Without it, all products are listed' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -l geometries -d 'List every geometry of the product to which nothing can be added'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l product -d 'The product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l output -d 'What to print: text for people, JSON for programs, or a configuration file for NVIDIA\'s mig-parted and its MIG manager' -r -f -a "text\t'For people'
json\t'For programs'
mig-parted\t'The configuration file alone'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l product -d 'The product, such as A100-80GB or a node\'s `nvidia.com/gpu.product`. Without it, what each product would need is listed' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l demand -d 'Instances that are wanted, as 1g.10gb=9,3g.40gb=2' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l cluster -d 'Add what pods wait for: what `kubectl get nodes,namespaces,pods -A -o json` prints' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l gpus -d 'GPUs that there are. If more are needed, the exit status is 1' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l gpus-per-node -d 'GPUs of a node: the configurations for mig-parted are then one for each kind of node instead of one for each geometry' -r
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l output -d 'What to print: text for people, JSON for programs, or a configuration file for NVIDIA\'s mig-parted and its MIG manager' -r -f -a "text\t'For people'
json\t'For programs'
mig-parted\t'The configuration file alone'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand mig; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l policies -d 'The policies' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l product -d 'A product as GPU feature discovery names it on a node that neither shares nor uses MIG: NVIDIA-A100-SXM4-80GB. May be repeated' -r
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l count -d 'How many of the resource one node of the group has: GPUs, MIG devices, or shares of all its GPUs. Without it, a placeholder' -r
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand node-groups" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand map" -l cluster -d 'The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand map" -l policies -d 'The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand map" -l node -d 'Only nodes of such names; `*` stands for any text, `?` for one character. May be repeated' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -s n -l namespace -d 'Only nodes with pods of such namespaces, and only their waiting pods. May be repeated' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -l detail -d 'Above so many nodes each is one cell that says how full it is' -r
complete -c apportion -n "__fish_apportion_using_subcommand map" -l output -d 'What to print' -r -f -a "text\t'For the terminal'
json\t'For programs'
html\t'One page for a browser, which needs nothing else'
svg\t'One picture'"
complete -c apportion -n "__fish_apportion_using_subcommand map" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand map" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand map" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l policies -d 'The policies as they would be' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l old -d 'The policies as they are; on a live cluster its own stand beside them. Without any, pods that the new policies allow count as unchanged' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l cluster -d 'The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand replay" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand replay" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand test" -l policies -d 'The policies of files that name none' -r -F
complete -c apportion -n "__fish_apportion_using_subcommand test" -l output -d 'What to print: text for people, or JSON for programs' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c apportion -n "__fish_apportion_using_subcommand test" -l color -d 'When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set' -r -f -a "auto\t'On a terminal that wants them'
always\t'Also into a file or a pipe'
never\t'Nowhere'"
complete -c apportion -n "__fish_apportion_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c apportion -n "__fish_apportion_using_subcommand test" -s V -l version -d 'Print version'
complete -c apportion -n "__fish_apportion_using_subcommand completion" -s h -l help -d 'Print help'
complete -c apportion -n "__fish_apportion_using_subcommand completion" -s V -l version -d 'Print version'
