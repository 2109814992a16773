{{- define "enel-service.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what Kubernetes appends: a StatefulSet's pods carry a label with a hash behind it. */}}
{{- define "enel-service.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "enel-service.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "enel-service.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "enel-service.selectorLabels" -}}
app.kubernetes.io/name: {{ include "enel-service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "enel-service.labels" -}}
{{ include "enel-service.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "enel-service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "enel-service.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "enel-service.image" -}}
{{- $image := printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $image .Values.image.digest -}}
{{- else -}}
{{- $image -}}
{{- end -}}
{{- end -}}

{{/* Namespaces of Spark applications, as {"names": […]} in JSON; the first one is the default. */}}
{{- define "enel-service.namespaces" -}}
{{- dict "names" (.Values.applications.namespaces | default (list .Release.Namespace) | uniq) | toJson -}}
{{- end -}}

{{/* API group of SparkApplications, as the operator that is chosen wants them. */}}
{{- define "enel-service.operatorGroup" -}}
{{- if eq (.Values.settings.SPARK_OPERATOR | default "kubeflow" | toString | lower | trim) "apache" -}}spark.apache.org{{- else -}}sparkoperator.k8s.io{{- end -}}
{{- end -}}

{{/* "true" where the service talks to the cluster that it runs in, as its own service account. */}}
{{- define "enel-service.inCluster" -}}
{{- if not (or .Values.settings.KUBERNETES_ENDPOINT .Values.settings.KUBECONFIG) -}}true{{- end -}}
{{- end -}}

{{/* The release's own MongoDB: shorter than the full name, for what Kubernetes appends to its pods. */}}
{{- define "enel-service.mongodbName" -}}
{{- printf "%s-mongodb" (include "enel-service.fullname" . | trunc 42 | trimSuffix "-") -}}
{{- end -}}

{{- define "enel-service.mongodbSelectorLabels" -}}
app.kubernetes.io/name: {{ include "enel-service.name" . }}-mongodb
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "enel-service.mongodbLabels" -}}
{{ include "enel-service.mongodbSelectorLabels" . }}
app.kubernetes.io/component: mongodb
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* "true" where the service is to use the release's own MongoDB, by the name in values.yaml. */}}
{{- define "enel-service.usesOwnMongodb" -}}
{{- if and .Values.mongodb.enabled (eq .Values.settings.MONGODB_ENDPOINT "mongodb") -}}true{{- end -}}
{{- end -}}

{{/* Of the Ray cluster that models are served on; empty where there is none. */}}
{{- define "enel-service.rayAddress" -}}
{{- if .Values.serving.enabled -}}{{- .Values.serving.rayAddress -}}{{- end -}}
{{- end -}}

{{/* What the ConfigMap holds, as JSON: the settings of the values, and those that the chart knows better. */}}
{{- define "enel-service.environment" -}}
{{- $environment := dict
      "HOST" "0.0.0.0"
      "PORT" "5000"
      "DATA_DIR" "/var/lib/enel-service"
      "CALLBACK_HOST" (printf "%s.%s.svc" (include "enel-service.fullname" .) .Release.Namespace)
      "CALLBACK_PORT" (.Values.service.port | toJson)
-}}
{{- $namespaces := (include "enel-service.namespaces" . | fromJson).names -}}
{{- $_ := set $environment "KUBERNETES_NAMESPACE" (first $namespaces) -}}
{{- if rest $namespaces -}}
{{- $_ := set $environment "KUBERNETES_NAMESPACES" (rest $namespaces | join ",") -}}
{{- end -}}
{{- if include "enel-service.inCluster" . -}}
{{- $_ := set $environment "KUBERNETES_IN_CLUSTER" "true" -}}
{{- end -}}
{{- with .Values.secretSettings.CALLBACK_TOKEN -}}
{{- $_ := set $environment "CALLBACK_TOKEN_SECRET" (printf "%s/%s" .name .key) -}}
{{- end -}}
{{- $_ := set $environment "SERVING" (.Values.serving.enabled | toJson) -}}
{{- if .Values.serving.enabled -}}
{{- $_ := set $environment "SERVING_CACHE_DIR" (printf "%s/serving" $environment.DATA_DIR) -}}
{{- $_ := set $environment "SERVING_CACHE_BYTES" (.Values.serving.cacheBytes | toJson) -}}
{{- end -}}
{{- if include "enel-service.rayAddress" . -}}
{{- $_ := set $environment "RAY_ADDRESS" (include "enel-service.rayAddress" .) -}}
{{- $_ := set $environment "RAY_AUTH_MODE" "token" -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- if kindIs "string" $value -}}
{{- if $value -}}
{{- $_ := set $environment $name $value -}}
{{- end -}}
{{- else if kindIs "slice" $value -}}
{{- $_ := set $environment $name ($value | join ",") -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $environment $name ($value | toJson) -}}
{{- end -}}
{{- end -}}
{{- if include "enel-service.usesOwnMongodb" . -}}
{{- $mongodb := include "enel-service.mongodbName" . -}}
{{- $_ := set $environment "MONGODB_ENDPOINT" (printf "mongodb://%s-0.%s.%s.svc:27017/?replicaSet=rs0" $mongodb $mongodb .Release.Namespace) -}}
{{- end -}}
{{- $environment | toJson -}}
{{- end -}}

{{/* What the container gets from Secrets, as JSON by the name of the setting. */}}
{{- define "enel-service.secretEnvironment" -}}
{{- $secrets := deepCopy .Values.secretSettings -}}
{{- if include "enel-service.usesOwnMongodb" . -}}
{{- $name := .Values.mongodb.existingSecret -}}
{{- $_ := set $secrets "MONGODB_USERNAME" (dict "name" $name "key" "username") -}}
{{- if not (hasKey $secrets "MONGODB_PASSWORD") -}}
{{- $_ := set $secrets "MONGODB_PASSWORD" (dict "name" $name "key" "password") -}}
{{- end -}}
{{- end -}}
{{- if include "enel-service.rayAddress" . -}}
{{- $_ := set $secrets "RAY_AUTH_TOKEN" .Values.serving.rayToken -}}
{{- end -}}
{{- $secrets | toJson -}}
{{- end -}}

{{/* What of a container says where its settings come from. */}}
{{- define "enel-service.containerEnvironment" -}}
envFrom:
  - configMapRef:
      name: {{ include "enel-service.fullname" . }}
{{- with include "enel-service.secretEnvironment" . | fromJson }}
env:
  {{- range $name, $secret := . }}
  - name: {{ $name }}
    valueFrom:
      secretKeyRef:
        name: {{ $secret.name }}
        key: {{ $secret.key }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Mistakes that would otherwise show only when data is lost, or when it is late. */}}
{{- define "enel-service.check" -}}
{{- if and .Values.mongodb.enabled (not .Values.mongodb.existingSecret) -}}
{{- fail "mongodb.existingSecret: name a Secret with username, password, root-password and keyfile" -}}
{{- end -}}
{{- if and (include "enel-service.usesOwnMongodb" .) .Values.settings.MONGODB_USERNAME -}}
{{- fail "settings.MONGODB_USERNAME: leave it out; the user of the release's own MongoDB is `username` of mongodb.existingSecret" -}}
{{- end -}}
{{- if include "enel-service.rayAddress" . -}}
{{- if not .Values.serving.rayToken -}}
{{- fail "serving.rayToken: name the Secret with the cluster's token; without one, whoever reaches a pod runs code in it" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.serving.rayPeers) -}}
{{- fail "serving.rayPeers: name the pods of the Ray cluster, which talk to the service's and are talked to" -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- if not .Values.settings.HDFS_ENDPOINT -}}
{{- fail "replicas: several services have to share their models: set settings.HDFS_ENDPOINT" -}}
{{- end -}}
{{- end -}}
{{- end -}}
