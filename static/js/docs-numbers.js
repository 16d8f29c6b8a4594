// Swagger UI reads answers as JavaScript numbers, which rounds ids beyond 2^53: such an answer is shown as it came.
// Loaded between Swagger UI and the script that starts it.
{
  const large = /"(?:[^"\\]|\\.)*"|-?\d{16,}/g;
  const mark = "\u241f";

  const exact = (response) => {
    const kind = response.headers?.["content-type"] ?? "";
    const tokens = (response.text ?? "").match(large) ?? [];
    if (!kind.includes("json") || tokens.every((token) => token.startsWith('"'))) {
      return response;
    }
    const kept = response.text.replace(large, (token) => (token.startsWith('"') ? token : `"${mark}${token}"`));
    const shown = JSON.stringify(JSON.parse(kept), null, 2);
    response.text = shown.replace(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
    response.data = response.text;
    response.headers["content-type"] = "text/plain";
    return response;
  };

  window.SwaggerUIBundle = new Proxy(window.SwaggerUIBundle, {
    apply: (start, self, [settings]) => start.call(self, { ...settings, responseInterceptor: exact }),
  });
}
