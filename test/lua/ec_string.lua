-- simulate: --helo client.example.org
-- checks: 50
local check = require "check"
local core = msys.core

local function contents(str)
  check.eq(type(str), "userdata")
  check.eq(tostring(str), "EHLO client.example.org\r\n")
  check.eq(#str, 25)
  check.eq("<" .. str .. ">", "<EHLO client.example.org\r\n>")
  check.eq(str .. str, tostring(str) .. tostring(str))
  check.eq(1 .. str, "1EHLO client.example.org\r\n")
  check.eq(str .. 1.5, "EHLO client.example.org\r\n1.5")
  check.eq(string.format("%s", str), tostring(str))
  check.ok(str ~= "EHLO client.example.org\r\n")
end

local function methods(str)
  check.eq(str:match("^EHLO (%S+)"), "client.example.org")
  check.eq(str:upper(), "EHLO CLIENT.EXAMPLE.ORG\r\n")
  check.eq(str:sub(1, 4), "EHLO")
  check.eq(select("#", str:find("(l)(i)")), 4)
  check.eq(str:len(), 25)
  check.eq(str:byte(1), 69)
  check.eq((str:gsub("%s+$", "")), "EHLO client.example.org")
  local words = 0
  for _ in str:gmatch("%a+") do words = words + 1 end
  check.eq(words, 4)
  check.eq(str:rep(2), tostring(str) .. tostring(str))
  check.eq(str.nosuch, nil)
  check.eq(str[1], nil)
end

local function writing(str)
  check.eq(select("#", str:set("new")), 0)
  check.eq(tostring(str), "new")
  str:set("")
  check.eq(#str, 0)
  check.eq(str:match(".*"), "")
  str:set("a\0b")
  check.eq(#str, 3)
  check.eq(tostring(str), "a\0b")
  str:set(42)
  check.eq(str .. "", "42")
  check.eq(type(tostring(str)), "string")
  check.eq(select("#", str:write(" and more")), 0)
  check.eq(tostring(str), "42 and more")
  str:write("abc", 2)
  str:write("xyz", 0)
  str:write("xyz", 3)
  str:write("")
  check.eq(tostring(str), "42 and moreabxyz")
  str:set(("x"):rep(100000))
  str:write(("y"):rep(100000))
  check.eq(#str, 200000)
end

local function misuse(str)
  str:set("kept")
  check.raises("string expected, got no value", str.set, str)
  check.raises("string expected, got nil", function() str:set(nil) end)
  check.raises("string expected, got table", function() str:set({}) end)
  check.raises("string expected, got boolean", function() str:write(true) end)
  check.raises("longer than the text", function() str:write("abc", 4) end)
  check.raises("longer than the text", function() str:write("abc", -1) end)
  check.raises("number expected", function() str:write("abc", "x") end)
  check.raises("_ec_string expected", str.set, "no ec_string", "x")
  check.raises("_ec_string expected", str.write, {}, "x")
  check.raises("_ec_string expected", str.upper, "x")
  check.raises("string expected, got table", function() return str .. {} end)
  check.raises("string expected, got nil", function() return nil .. str end)
  check.raises("", function() str.field = 1 end)
  check.eq(getmetatable(str), "locked")
  check.eq(tostring(str), "kept")
end

msys.registerModule("ec_string", {
  validate_ehlo = function(self, str)
    contents(str)
    methods(str)
    writing(str)
    misuse(str)
    self.str = str
    return core.VALIDATE_CONT
  end,
  -- the content is Lua's own: a kept one stays what it was
  validate_mailfrom = function(self, str)
    check.eq(tostring(self.str), "kept")
    check.eq(tostring(str), "MAIL FROM:<sender@example.org>\r\n")
    return core.VALIDATE_CONT
  end,
  validate_rcptto = function(_, _, str)
    check.eq(tostring(str), "RCPT TO:<recipient@example.org>\r\n")
    return core.VALIDATE_CONT
  end,
  validate_dealloc = check.report,
})
