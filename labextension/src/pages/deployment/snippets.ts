/** Code with which a deployment is asked from elsewhere. No key is in it: that comes from the environment. */

/** Where a deployment has OpenAI's API. */
export function apiUrl(url: string): string {
  const base = url.replace(/\/+$/, '');
  return base.endsWith('/v1') ? base : `${base}/v1`;
}

export function pythonSnippet(url: string): string {
  return `import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(apiUrl(url))}, api_key=os.environ.get("OPENAI_API_KEY", "none"))
model = client.models.list().data[0].id
answer = client.chat.completions.create(
    model=model,
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
`;
}

export function curlSnippet(url: string): string {
  const base = apiUrl(url).replace(/'/g, "'\\''");
  return `curl '${base}/models' -H "Authorization: Bearer $OPENAI_API_KEY"  # the name of its model

curl '${base}/chat/completions' \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"model": "MODEL", "messages": [{"role": "user", "content": "Hello!"}]}'
`;
}
