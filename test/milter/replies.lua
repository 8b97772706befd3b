-- policy: first=live
-- Each form of a reply, byte for byte as an MTA gets it.
-- luacheck: read globals MT_SMTPREPLY
local t = require "lib"

local SORRY = t.SORRY

local s = t.greeted()

-- The reply to RCPT when the policy does that; the last check with the same bytes at the end of the
-- message proves that both ways to send a reply are the same.
local function check(code, wanted, name)
  t.orders { ["first.validate_rcptto"] = code .. " return CONT" }
  s:mail("<a@example.com>")
  t.is(s:rcpt("<b@example.com>"), wanted, name)
  s:abort()
end

-- set_code with that text, written as Lua source
local function set(code, text)
  return ("vctx:set_code(%s, %s)"):format(code, text)
end

check(set(550, [["5.7.1 no"]]), "550 5.7.1 no", "5xx with an enhanced code")
check(set(450, [["4.2.0 later"]]), "450 4.2.0 later", "4xx with an enhanced code")
check(set(554, [["no"]]), "554 no", "5xx without an enhanced code gets none")
check(set(451, [["later"]]), "451 later", "4xx without an enhanced code gets none")
check(set(550, [["5.7.1"]]), "550 5.7.1 refused by policy", "an enhanced code alone gets words")
check(set(550, "nil"), "550 refused by policy", "no text gets words")
check("vctx:set_code(450)", "450 deferred by policy, please retry later", "no argument for the text either")
check(set(550, [[""]]), "550 refused by policy", "nor an empty one")
check(set(550, [["5.7.999 far"]]), "550 5.7.999 far", "three digits in an enhanced code")
check(set(550, [["5.7.1234 far"]]), "550 5.7.1234 far", "four digits make it text")
check(set(550, [["5.7 apples"]]), "550 5.7 apples", "two parts make it text")
check(set(550, [["5.7.1: no"]]), "550 5.7.1: no", "so does a colon after it")
check(set(550, [["5.7.1\tno"]]), "550 5.7.1 no", "a tab after an enhanced code is a blank")
check(set(550, [["5.7.1  no"]]), "550 5.7.1 no", "so are two blanks")

-- percent signs
check(set(550, [["5.7.1 100% sure, 50%% too, %s %n"]]), "550 5.7.1 100%% sure, 50%%%% too, %%s %%n",
  "a percent sign is doubled")
check(set(550, [["100%"]]), "550 100%%", "also without an enhanced code")
check(set(550, [["5.7.1 100%\n5.7.1 %s"]]), "550-5.7.1 100%%\r\n550 5.7.1 %%s", "also in several lines")

-- several lines
check(set(550, [["5.7.1 one\ntwo\nthree"]]), "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three",
  "a line feed divides lines, each with its code")
check(set(550, [["5.7.1 one\r\ntwo"]]), "550-5.7.1 one\r\n550 5.7.1 two", "so does CRLF")
check(set(550, [["5.7.1 one\rtwo"]]), "550-5.7.1 one\r\n550 5.7.1 two", "so does CR")
check(set(550, [["5.7.1 one\r\n5.7.1 two"]]), "550-5.7.1 one\r\n550 5.7.1 two",
  "an enhanced code on each line is not doubled")
check(set(550, [["5.7.1\none"]]), "550 5.7.1 one", "an enhanced code alone on the first line is no line")
check(set(451, [["one\ntwo"]]), "451-4.0.0 one\r\n451 4.0.0 two", "lines without a code get the class")
check(set(550, [["5.7.1 one\n"]]), "550 5.7.1 one", "a line feed at the end adds no line")
check(set(550, [["5.7.1 one\n\ntwo"]]), "550-5.7.1 one\r\n550-5.7.1 \r\n550 5.7.1 two", "an empty line stays")
check(set(550, [["5.7.1 no\r\n250 2.0.0 yes"]]), "550-5.7.1 no\r\n550 5.7.1 250 2.0.0 yes",
  "no reply can be smuggled in")
check(set(550, [["5.7.1 " .. ("line\n"):rep(40)]]),
  ("550-5.7.1 line\r\n"):rep(31) .. "550 5.7.1 line", "32 lines are sent, more are cut")

-- bytes
check(set(550, [["5.7.1 a\1b\27c\127d\te"]]), "550 5.7.1 a?b?c?d e", "control characters are masked")
check(set(550, [["5.7.1 na\195\175ve"]]), "550 5.7.1 na\195\175ve", "other bytes are not")
check(set(550, [["5.7.1 " .. ("x"):rep(2000)]]), "550 5.7.1 " .. ("x"):rep(980), "a long line is cut")
check(set(550, [["5.7.1 " .. ("%"):rep(2000)]]), "550 5.7.1 " .. ("%%"):rep(490),
  "with room for doubled percent signs")
check(set(550, [["5.7.1 x" .. ("%"):rep(2000)]]), "550 5.7.1 x" .. ("%%"):rep(489),
  "none of which is halved")
check(set(550, [[("y"):rep(2000) .. "\n" .. ("z"):rep(2000)]]),
  "550-5.0.0 " .. ("y"):rep(980) .. "\r\n550 5.0.0 " .. ("z"):rep(980), "each line by itself")

-- corrections
local function corrected(code, wanted, note, name)
  local before = #t.log()
  check(code, wanted, name)
  t.ok(t.log():find(note, before, true), name .. ": is logged")
end
corrected(set(550, [["4.7.1 no"]]), "550 5.7.1 no", "the enhanced code 4.7.1 contradicts the reply code 550",
  "an enhanced code of the other class")
corrected(set(451, [["2.0.0 later"]]), "451 4.0.0 later", "the enhanced code 2.0.0 contradicts",
  "an enhanced code of success")
corrected(set(550, [["4.7.1 one\n4.7.1 two"]]), "550-5.7.1 one\r\n550 5.7.1 two", "contradicts",
  "on each line")
corrected(set(700, [["no"]]), "550 no", "700 is not an SMTP reply code, using 550", "a code too high")
corrected(set(99, [["no"]]), "451 no", "99 is not an SMTP reply code, using 451", "a code too low")
corrected(set(354, [["no"]]), "451 no", "354 is not an SMTP reply code, using 451", "a code of 3xx")
corrected(set(479, [["no"]]), "451 no", "479 is not an SMTP reply code, using 451",
  "a second digit out of range")
corrected(set(0, [["no"]]), "451 no", "0 is not an SMTP reply code, using 451", "the code 0")
check(set([["550"]], [["5.7.1 no"]]), "550 5.7.1 no", "a code as a string")
check(set(550, 42), "550 42", "a number as text")
check(set(-1, [["no"]]), SORRY, "a negative code is an error")
check(set([["abc"]], [["no"]]), SORRY, "so is a code that is no number")
check(set(550, "{}"), SORRY, "so is a table for a text")
check(set("0/0", [["no"]]), SORRY, "so is a code that is not a number at all")
check([[vctx:set_code(550, "5.7.1 no") vctx:set_code(250, "2.1.5 yes")]], "CONTINUE", "a later 250 accepts")
t.ok(t.logged("a milter cannot send the reply 250"), "which is logged, as its text is lost")

-- where a reply comes from; eom_check compares what miltertest itself read
t.orders { ["first.validate_data"] = [[ vctx:set_code(552, "5.3.4 100% too\nbig") return CONT ]] }
t.is(s:message(), "552-5.3.4 100%% too\r\n552 5.3.4 big", "at the end of the message")
t.ok(s:check(MT_SMTPREPLY, "552-5.3.4 100%% too\r\n552", "5.3.4", "big"), "as miltertest saw it")
t.orders { ["first.validate_mailfrom"] = [[ vctx:set_code(550, "5.1.8 100%\nno") return CONT ]] }
t.is(s:mail("<a@example.com>"), "550-5.1.8 100%%\r\n550 5.1.8 no", "at MAIL")
t.orders { ["first.validate_rcptto_list_final"] = [[ vctx:set_code(452, "4.5.3 less\nplease") return CONT ]] }
t.is(s:message(), "452-4.5.3 less\r\n452 4.5.3 please", "at DATA")
s:quit()
t.orders { ["first.validate_ehlo"] = [[ vctx:set_code(550, "5.7.1 100%\nno") return CONT ]] }
s = t.connect()
s:conninfo("client.example.com", "192.0.2.1")
t.is(s:helo("x.example.com"), "550-5.7.1 100%%\r\n550 5.7.1 no", "at EHLO")
s:quit()
