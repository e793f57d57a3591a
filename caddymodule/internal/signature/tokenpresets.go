package signature

// tokenPresets are those whose sender sends a token and signs nothing. A payload says what
// makes a delivery to the replay guard; it is there only where the sender documents an id
// that a repetition keeps.
var tokenPresets = []Preset{
	// docs.gitlab.com, "Webhooks: delivery headers". Idempotency-Key is a UUID, the same in
	// each retry.
	{Name: "gitlab-token", Scheme: Scheme{Headers: list{"X-Gitlab-Token"}, Signature: "{token}", Payload: "{header.Idempotency-Key}.{body}"}},
	// core.telegram.org, "setWebhook". Each update has an update_id in its body.
	{Name: "telegram", Scheme: Scheme{Headers: list{"X-Telegram-Bot-Api-Secret-Token"}, Signature: "{token}", Payload: "{body}"}},
	// huggingface.co, "Webhooks: webhook secret".
	{Name: "huggingface", Scheme: Scheme{Headers: list{"X-Webhook-Secret"}, Signature: "{token}"}},
	// developers.cloudflare.com, "Configure webhooks".
	{Name: "cloudflare-notifications", Scheme: Scheme{Headers: list{"cf-webhook-auth"}, Signature: "{token}"}},
	// developers.google.com, "Push notifications" of Calendar, Drive and others. The body is
	// empty with most. An id of a channel has letters, digits, '-', '_', '+', '/' and '='.
	{Name: "google-channel", Scheme: Scheme{
		Headers: list{"X-Goog-Channel-Token"}, Signature: "{token}", Payload: "{header.X-Goog-Channel-ID}.{header.X-Goog-Message-Number}.{body}",
	}},
	// developers.ringcentral.com, "Receiving webhooks". Each event has a uuid in its body.
	{Name: "ringcentral", Scheme: Scheme{Headers: list{"Verification-Token"}, Signature: "{token}", Payload: "{body}"}},
	// buildkite.com, "Pipelines webhooks".
	{Name: "buildkite-token", Scheme: Scheme{Headers: list{"X-Buildkite-Token"}, Signature: "{token}"}},
	// csod.dev, webhooks.
	{Name: "cornerstone", Scheme: Scheme{Headers: list{"x-api-key"}, Signature: "{token}"}},

	// The field that HTTP has for credentials. Caddy keeps it out of its logs.
	//
	// developer.okta.com, "Event hooks": the whole value is the operator's, a scheme included.
	{Name: "okta", Scheme: Scheme{Headers: list{"Authorization"}, Signature: "{token}"}},
	// supabase.com, "Database webhooks": the header fields are the operator's.
	{Name: "supabase", Scheme: Scheme{Headers: list{"Authorization"}, Signature: "Bearer {token}"}},
	// developers.brevo.com, "Secured webhooks".
	{Name: "brevo", Scheme: Scheme{Headers: list{"Authorization"}, Signature: "Bearer {token}"}},
	// postmarkapp.com, "Webhooks overview: protecting your webhook".
	{Name: "postmark", Scheme: basic},
	// pipedrive.com, "Webhooks v2": http_auth_user and http_auth_password.
	{Name: "pipedrive", Scheme: basic},
	// chargebee.com, "Webhook settings: basic authentication".
	{Name: "chargebee", Scheme: basic},
	// learn.microsoft.com, "Webhooks with Azure DevOps".
	{Name: "azure-devops", Scheme: basic},
	// VMware, "Workspace ONE UEM: event notifications".
	{Name: "workspace-one", Scheme: basic},
	// developers.deepgram.com, "Callback". Its dg-token is the id of a key, and not secret.
	{Name: "deepgram", Scheme: basic},
}

// basic is HTTP's Basic scheme (RFC 7617), as clients write a user and a password.
var basic = Scheme{Headers: list{"Authorization"}, Signature: "Basic {token_base64}"}
