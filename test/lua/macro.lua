-- simulate: --helo h.example --from a@b.example
-- checks: 25
local check = require "check"
local core = msys.core
local expand = msys.expandMacro

local rows = {
  { "", "" },
  { "plain", "plain" },
  { "%{vctx_conn:ehlo_domain}", "h.example" },
  { "<%{vctx_conn:ehlo_domain}|%{vctx_mess:mailfrom_localpart}>", "<h.example|a>" },
  { "%{vctx_conn:nosuch}", "" },
  { "%{nosuch:key}", "" },
  { "%{nokey}", "" },
  { "%{}", "" },
  { "%{:}", "" },
  { "%{vctx_conn:}", "" },
  { "%", "%" },
  { "100%", "100%" },
  { "%%", "%%" },
  { "%d %s", "%d %s" },
  { "%{vctx_conn:ehlo_domain", "%{vctx_conn:ehlo_domain" },
  { "{vctx_conn:ehlo_domain}", "{vctx_conn:ehlo_domain}" },
  { "%%{vctx_conn:ehlo_domain}", "%h.example" },
  { "%{vctx_conn:tricky}", "%{vctx_conn:ehlo_domain}" },
  { "%{vctx_conn:" .. ("x"):rep(1000) .. "}", "" },
  { "a\0b%{vctx_conn:ehlo_domain}", "a\0bh.example" },
  { ("%{vctx_conn:ehlo_domain}"):rep(1000), ("h.example"):rep(1000) },
}

check.eq(expand("<%{vctx_conn:ehlo_domain}>"), "<>", "outside callouts")

msys.registerModule("macro", {
  validate_mailfrom = function(_, str, _, vctx)
    vctx:set(core.VCTX_CONN, "tricky", "%{vctx_conn:ehlo_domain}")
    for _, row in ipairs(rows) do
      check.eq(expand(row[1]), row[2], row[1])
    end
    check.eq(expand(12), "12")
    check.raises("string expected", expand)
    check.raises("string expected", expand, str)
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
