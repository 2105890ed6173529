{{- define "segment-export.labels" -}}
app.kubernetes.io/name: segment-export
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "segment-export.selector" -}}
app.kubernetes.io/name: segment-export
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: worker
{{- end }}

{{- define "segment-export.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "segment-export.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "segment-export.store" -}}
- name: SEGMENT_EXPORT_STORE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.store.secret | quote }}, key: url}}
{{- end }}
