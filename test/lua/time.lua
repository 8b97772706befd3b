-- simulate: --rcpt one@x
-- checks: 49
-- change: add_header X-Waited yes
local check = require "check"
local core = msys.core
local methods = require "msys.extended.vctx"
local kept = {}

local BAD_SECONDS = { -1, -0.001, 86401, 1 / 0, -1 / 0, 0 / 0 }

local function sleeps(where)
  check.eq(select("#", msys.sleep(0)), 0, where)
  check.eq(select("#", msys.sleep(0.001)), 0, where)
  check.eq(select("#", msys.sleep("0")), 0, where)
  local n = 0
  for part in ("a b c"):gmatch("%a") do
    msys.sleep(0)
    n = n + #part
  end
  check.eq(n, 3, where)
end

local function misuse()
  for _, seconds in ipairs(BAD_SECONDS) do
    check.raises("seconds from 0 to 86400", msys.sleep, seconds)
  end
  check.raises("number expected, got no value", msys.sleep)
  check.raises("number expected, got nil", msys.sleep, nil)
  check.raises("number expected, got string", msys.sleep, "soon")
  check.raises("number expected, got table", msys.sleep, {})
end

-- Where the coroutine of the session does not run, the wait holds the state.
local function elsewhere()
  check.eq(coroutine.wrap(function() return msys.asyncOk() end)(), false)
  coroutine.wrap(function() msys.sleep(0.001) check.ok(true) end)()
  local list = { 3, 1, 2 }
  table.sort(list, function(a, b) msys.sleep(0) return a < b end)
  check.list(list, { "1", "2", "3" })
  check.eq(pcall(msys.sleep, 0), true)
  check.ok(msys.asyncOk(), "after all that")
end

local function tarpit(vctx)
  check.eq(select("#", vctx:tarpit(0)), 0)
  check.eq(select("#", vctx:tarpit(0.001)), 0)
  for _, seconds in ipairs(BAD_SECONDS) do
    check.raises("seconds from 0 to 86400", vctx.tarpit, vctx, seconds)
  end
  check.raises("number expected, got nil", vctx.tarpit, vctx, nil)
  check.raises("vctx expected as argument #1, got number", vctx.tarpit, 1)
end

check.eq(msys.asyncOk(), false)
check.eq(msys.deadline(), nil)
sleeps("file level")
check.raises("vctx:tarpit: not available in the file level", methods.tarpit)

msys.registerModule("time", {
  init = function()
    check.eq(msys.asyncOk(), false)
    check.eq(msys.deadline(), nil)
    sleeps("init")
    check.raises("vctx:tarpit: not available in init", methods.tarpit)
    return true
  end,
  validate_connect = function(self, _, vctx)
    check.eq(msys.asyncOk(), true)
    local left = msys.deadline()
    check.ok(left > 0 and left <= 25)
    sleeps("validate_connect")
    check.ok(msys.deadline() < left)
    misuse()
    elsewhere()
    self.kept = "over the wait"
    kept.vctx = vctx
    msys.sleep(0.001)
    check.eq(self.kept, "over the wait")
    vctx:set(core.VCTX_CONN, "key", "usable")
    check.eq(vctx:get(core.VCTX_CONN, "key"), "usable")
    tarpit(vctx)
    return core.VALIDATE_CONT
  end,
  validate_data_spool_each_rcpt = function(_, msg)
    local left = msys.deadline()
    check.ok(left > 25 and left <= 240, "eom_timeout counts")
    msys.sleep(0.001)
    check.eq(msg:rcptto(), "one@x")
    check.eq(msg:header("X-Waited", "yes"), true)
    return core.VALIDATE_CONT
  end,
  validate_set_binding = function()
    check.raises("vctx:tarpit: not available in validate_set_binding", kept.vctx.tarpit,
      kept.vctx, 1)
    msys.sleep(0)
    return core.VALIDATE_CONT
  end,
  core_config_get_message_routing_domain = function()
    check.raises("vctx:tarpit: not available in core_config_get_message_routing_domain",
      kept.vctx.tarpit, kept.vctx, 1)
    return 0
  end,
  validate_dealloc = function()
    check.raises("vctx:tarpit: not available in validate_dealloc", kept.vctx.tarpit,
      kept.vctx, 1)
    check.ok(msys.asyncOk())
    msys.sleep(0)
    check.report()
  end,
})
