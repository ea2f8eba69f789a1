{{- define "apportion.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "apportion.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "apportion.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "apportion.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Labels of every object. Takes (list context component). */}}
{{- define "apportion.labels" -}}
{{- $ := index . 0 -}}
{{ include "apportion.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: apportion
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "apportion.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "apportion.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "apportion.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" $tag) }}{{ $tag }}
{{- end }}

{{- /* The Secret with the CA or the certificate. */}}
{{- define "apportion.tlsSecret" -}}
{{- if eq .Values.tls.mode "secret" -}}
{{ required "tls.mode secret needs tls.secret.name" .Values.tls.secret.name }}
{{- else -}}
{{ include "apportion.fullname" . }}-tls
{{- end }}
{{- end }}

{{- /* What the Pod Security level "restricted" requires of a container, plus a read-only root. */}}
{{- define "apportion.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "apportion.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* The pod's own name and namespace. */}}
{{- define "apportion.env" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}

{{- /* Takes (list context component values): constraints from the values, else a spread over nodes. */}}
{{- define "apportion.spread" -}}
{{- $ := index . 0 -}}
{{- with (index . 2).topologySpreadConstraints -}}
{{ toYaml . }}
{{- else -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  # A tainted node, which cannot take a replica, must not block the others.
  nodeTaintsPolicy: Honor
  # Do not count replicas of the previous version: a rollout would end unevenly spread.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "apportion.selector" (list $ (index . 1)) | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "apportion.selector" (list $ (index . 1)) | nindent 6 }}
{{- end }}
{{- end }}

{{- /* CEL: whether a container of a pod spec (given as an expression) names a GPU. */}}
{{- define "apportion.cel.gpu" -}}
({{ . }}.containers + (has({{ . }}.initContainers) ? {{ . }}.initContainers : [])).exists(c, has(c.resources) &&
[has(c.resources.limits) ? c.resources.limits : {}, has(c.resources.requests) ? c.resources.requests : {}].exists(of,
of.exists(name, name.startsWith('nvidia.com/gpu') || name.startsWith('nvidia.com/mig-'))))
{{- end }}

{{- /* Namespaces that the webhook is called for. */}}
{{- define "apportion.namespaces" -}}
{{- with .Values.webhook.namespaceSelector.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
# The release's namespace is excluded too: the webhook must not judge the pods that bring it back.
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: {{ append .Values.webhook.excludedNamespaces .Release.Namespace | uniq | toJson }}
{{- if .Values.webhook.requireNamespaceLabel }}
- key: apportion.dev/policy
  operator: Exists
{{- end }}
{{- with .Values.webhook.namespaceSelector.matchExpressions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* How the API server reaches the webhook. */}}
{{- define "apportion.clientConfig" -}}
{{- if eq .Values.tls.mode "secret" }}
caBundle: {{ required "tls.mode secret needs tls.secret.caBundle" .Values.tls.secret.caBundle }}
{{- end }}
service:
  name: {{ include "apportion.fullname" . }}
  namespace: {{ .Release.Namespace }}
  path: /mutate
  port: 443
{{- end }}
