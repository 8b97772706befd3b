-- simulate: --rcpt one@x --rcpt two@x
-- checks: 18
local check = require "check"
local core = msys.core

msys.registerModule("ids", {
  validate_rcptto = function(self, msg)
    for _, name in ipairs({ "id", "batch_id", "conn_id" }) do
      check.ok(msg[name]:match("^%w+$") and #msg[name] == 26, name)
    end
    self.id = self.id or msg.id
    check.eq(msg.id, self.id, "the same in every phase")
    self.batch_id, self.conn_id = msg.batch_id, msg.conn_id
    check.ok(msg.id ~= msg.batch_id and msg.id ~= msg.conn_id)
    return core.VALIDATE_CONT
  end,
  validate_data_spool_each_rcpt = function(self, msg)
    check.ok(msg.id ~= self.id, "a view has its own")
    check.eq(msg.batch_id, self.batch_id)
    check.eq(msg.conn_id, self.conn_id)
    self.id = msg.id
    return core.VALIDATE_CONT
  end,
  core_final_validation = function(_, msg)
    check.eq(msg.nosuch, nil)
    check.raises("", function() msg.id = "x" end)
  end,
  validate_dealloc = check.report,
})
