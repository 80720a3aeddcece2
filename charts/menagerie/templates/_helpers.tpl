{{- define "menagerie.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* What selects the operator's pod. It cannot change in an upgrade. */ -}}
{{- define "menagerie.selector" -}}
app.kubernetes.io/name: menagerie
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Not app.kubernetes.io/managed-by: Helm sets it when it installs, and in the plain YAML it would be wrong. */ -}}
{{- define "menagerie.labels" -}}
{{ include "menagerie.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "menagerie.image" -}}
{{- $repository := required "image.repository is required: where you pushed the operator's image (docs/install.md), such as --set image.repository=registry.example.com/menagerie/operator" .Values.image.repository -}}
{{- /* Not in the schema: of a pattern that must not match, Helm says "'not' failed", and neither what is wrong nor what is right. */ -}}
{{- if regexMatch "(@|:[^/]*$)" $repository -}}
{{- fail (printf "image.repository is %q, and must hold neither a tag nor a digest: give these in image.tag, such as --set image.repository=registry.example.com/menagerie/operator --set image.tag=0.1.0, or 0.1.0@sha256:… with a digest behind the tag" $repository) -}}
{{- end -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* Exactly what src/operator/kit/{controller,namespaces,read,write,status,events}.rs and src/operator/ensemble/{objects,passwords,refusals,act}.rs, and in rbac.yaml surroundings.rs, call. Server-side apply takes patch, and create for an object
that is not there yet. Secrets are created once and never changed. */ -}}
{{- define "menagerie.rules" -}}
- apiGroups: [menagerie.dev]
  resources: [zookeeperensembles, zookeeperrestores, zookeeperbackupschedules]
  verbs: [get, list, watch]
# Schedules make backups, and backups go when they expire.
- apiGroups: [menagerie.dev]
  resources: [zookeeperbackups]
  verbs: [get, list, watch, create, delete]
- apiGroups: [menagerie.dev]
  resources: [zookeeperensembles/status, zookeeperrestores/status, zookeeperbackups/status, zookeeperbackupschedules/status]
  verbs: [patch]
# Owner references that block deletion, where the cluster enforces permissions on them (OpenShift).
- apiGroups: [menagerie.dev]
  resources: [zookeeperensembles/finalizers, zookeeperrestores/finalizers, zookeeperbackups/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# Of a Job's pod whose node is lost nobody else says that it failed.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Why a pod is not made stands in an Event of its StatefulSet alone.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end -}}
