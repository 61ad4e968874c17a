"""What people really text, and what we must hear in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.words import Intent, fold, intent_of

OUR_TEXT = "Lantern Coffee: 2 lattes for 1, Ana. http://localhost:8080/c/7GQ2XK Reply STOP to end"

# 47 CFR 64.1200(a)(10), the carriers' lists and R-6.2.
STOP_WORDS = """
STOP
stop
Stop
sToP
 stop
STOP.
stop!
STOP!!!
Stop?
"stop"
“STOP”
'stop'
(stop)
*STOP*
«stop»
...stop...
stop 🙏
🛑 stop 🛑
STOP🙄🙄
🛑
⛔️
ＳＴＯＰ
Ｓｔｏｐ！
s.t.o.p
S T O P
S-T-O-P
STOP\u200b
\ufeffSTOP
STOPALL
Stop all
STOP ALL!
stop-all
UNSUBSCRIBE
Unsubscribe.
unsubscribe please
UNSUBSCRIBE ME NOW
unsub
CANCEL
cancel.
END
End!
QUIT
quit
REVOKE
revoke
OPTOUT
OPT OUT
OPT-OUT
Opt out please
opt‑out
ＯＰＴＯＵＴ
退订
退訂
退订。
退订！
【退订】
 退 订
TD退订
退订谢谢
请退订
stop stop stop
STOP STOP
STOP END QUIT
STOP/END
stopp
STOPPPPP
stooop
st0p
sotp
stpo
unsubcribe
unsuscribe
Stop please
please stop
pls stop
plz stop!!
stop plz
Stop, please.
STOP PLEASE
ok stop
Ok, stop.
Yes, stop
stop thanks
stop thank you
Stop now
stop it
stop this
STOP THIS NOW
just stop
Sorry, stop
hi, stop please
STOP LATTE
stop lantern
STOP 20655
STOP PROMOTIONS
Stop lantern coffee
STOP
Sent from my iPhone
""".strip("\n").split("\n")[:-2]

STOP_PHRASES = """
please stop texting me
Stop texting me!
stop texting
STOP TXTING ME
Can you stop texting me?
could you please stop sending me these
stop messaging me
stop sending me messages
stop sending these texts
Stop these messages
stop the texts
stop the damn texts
stop all texts
stop all these messages please
stop your spam
stop spamming me
stop contacting me
stop bothering me
stop harassing me!!!
quit texting me
Quit sending me this crap
cease all communications
i want you to stop
I want to stop
I want these to stop
make it stop
how do i stop
How do I stop this
how can I stop these messages?
how do I unsubscribe
How do I opt out?
I said STOP
i told you to stop
I asked you to stop
I am asking you to please stop
take me off your list
Take me off this list now
please take me off
take my number off your list
get me off this list
remove me
Remove me please
remove me from your list
please remove my number
remove my number from your database
delete my number
delete my number and all my data
remove this number
do not text me
Do not text me again
don't text me
dont text me anymore
DON’T TEXT THIS NUMBER
do not contact me
don't contact me again
never text me again
do not send me any more texts
don't send me anything
please don't message me
don't call me again
leave me alone
Leave me alone!!!
leave me the hell alone
lose my number
no more messages
no more texts please
No more texts
no more sms
no more
no more promos
enough
enough already
enough with the texts
I'm tired of these messages
sick of your texts
go away
fuck off
Fuck off and stop texting me
piss off
get lost
fucking stop
cancel my subscription
cancel subscription
cancel these texts
cancel all messages
cancel my membership
end subscription
end these texts
end all messages
quit
i want to unsubscribe
I would like to unsubscribe from this list
unsubscribe me from everything
pls unsubscribe
want to opt out
I want to cancel
I'd like to cancel please
i want to quit
No texts please
opt me out
I am opting out
I'd like to opt out of texts
i revoke my consent
I hereby withdraw my consent to be contacted
i revoke permission
I don't want these texts
i dont want these messages
I do not want any more texts
I don't want to receive messages
I no longer wish to receive these
no longer want texts from you
i dont want to hear from you
I did not sign up for this
I never signed up for this
I never signed up
i didn't ask for this
never consented to this
not interested
Not interested, thanks
no longer interested
I want out
let me off this list
Who is this? Stop.
Who is this? STOP TEXTING ME
STOP. I never signed up for this.
I'm driving, stop texting me
LATTE? no. stop
wrong number, stop texting me
Is this a joke?? stop!
Lantern Coffee is great but please stop texting me
Why don't you stop texting me
I moved to Boston. Please take me off your list, thanks!
Reply STOP to end
reply stop
Text STOP
STOP to end
STOP to cancel
stop2end
STOP to unsubscribe
取消订阅
取消訂閱
我要退订
我想取消订阅
怎么退订
如何退订？
怎么取消订阅啊
退订短信
请帮我退订
退订，谢谢！
拒收
停止
停
停止发送
请停止发送
请停止发送短信
停止发短信
停止骚扰
别再发了
别再发了！！
别發了
别发了
别发短信了
不要再发了
不要再發了
不要发了
不要再给我发短信了
不要给我发广告
请不要再发
请不要再给我发送任何信息
别给我发短信
别再给我发了
别老给我发广告
别再烦我
别烦我了
别骚扰我
不要骚扰我
不要打扰
请勿打扰
勿扰
不想收到你们的短信
不想再收到短信
我不想再收到任何广告
不需要
不感兴趣
拒绝接收短信
拒绝推销
滚
滚开
把我删了
请把我从名单中删除
删除我的号码
再发就投诉
再发我就举报你
回复退订
回TD退订
退订回T
拒收请回复R
取消
结束
ALTO
Alto.
¡Alto!
PARAR
pare
Baja
BAJA por favor
basta
basta ya
cancelar
dar de baja
Quiero darme de baja
denme de baja
cancelar suscripción
no quiero más mensajes
No quiero recibir más mensajes
no más mensajes
ya no quiero mensajes
no me envíen más mensajes
no me manden mas
no me escriban más
no me molesten
por favor no me contacten
dejen de enviarme mensajes
deja de escribirme
déjame en paz
déjenme en paz
quiten mi número de la lista
elimínenme de su lista
borren mi numero
desuscribir
desuscribirme
ARRET
Arrêt
ARRÊT !
arrêter
arrêtez
Arrêtez s'il vous plaît
stop svp
stop merci
désabonner
me désabonner
Je veux me désabonner
désabonnez-moi
désinscription
désinscrire
résilier
plus de messages
plus de SMS svp
je ne veux plus recevoir vos messages
ne m'envoyez plus de messages
ne m’envoyez plus rien
ne m'écrivez plus
ne me contactez plus
arrêtez de m'envoyer des SMS
arrêtez vos sms
laissez-moi tranquille
retirez-moi de votre liste
supprimez mon numéro
STOP au 36180
""".strip("\n").split("\n")

NOT_A_STOP = """
dont stop
don't stop
Don’t stop texting me, I love it
please don't stop
never stop
Please never stop sending coupons
do not stop
do not unsubscribe me
don't remove me
I dont want to unsubscribe
i did not unsubscribe
I don't want you to stop texting me
I hope you never stop
can't stop
I cannot stop drinking your latte
cant stop wont stop
can't stop thinking about mocha
stop by tomorrow?
I'll stop by at 5
can I stop by the shop
Stop by and say hi
stop in at 4?
end of the road
The end of the road
this is not the end
at the end of the day
weekend
when does it end
the bus stop on 3rd?
bus stop on 3rd?
is the bus stop near Pike Place
next stop Pike Place
one stop shop
non stop
nonstop coffee
stop sign
stop motion film
stop drinking coffee?
the music stopped
cancel my order
cancel my order please
can I cancel my order?
Cancel the mocha
cancel my vote
can I cancel
I want to cancel my order
I got no texts from you
I need a latte to end the week
quit smoking
I quit my job today
I quit sugar, is the tea sweet
revoke my vote
option 3
opt for 3
what time do you end
VOTE 3
vote stop sign
3
LATTE
latte please
latte!
HOURS
yes
no
N
T
R
TD
why did you stop texting me
Why did you stop sending coupons?
did you stop the offers?
when did you stop
you never text me
you don't text me anymore
I don't text and drive
I never got my coupon
i dont want to miss the next offer
I don't want mocha
do you have decaf
remove my vote
remove sugar please
delete my vote
take me to pike place
are you open until the end of May
I love stopping by
shop
step
top
spot
crane
The owl
the fox!
full stop
pit stop
who is this
what is this
Thanks!
thank you so much
great coffee
👍
❤️
?

No thanks
not now
alto saxophone
baja california
para llevar
un latte para mi
arret de bus
la fin du film
我不要退订
不要退订
别退订
没有退订
不要停
别停
请不要停止发送
停车场在哪里
停车方便吗
哪里可以停车
取消订单
怎么取消订单
取消我的投票
不要发票
需要发票吗
不用开发票
不要拿铁
不要糖
我要拿铁
拿铁
投票3
狐狸
结束时间是几点
活动什么时候结束
什么时候发货
收不到短信
没收到短信
一直收不到短信怎么办
短信里的链接打不开
为什么不给我发短信
""".strip("\n").split("\n")

OUR_WORDS_COME_BACK = [
    OUR_TEXT,
    f"Fwd: {OUR_TEXT}",
    "Msg&data rates may apply. HELP for help, STOP to end.",
    "what does Reply STOP to end mean",
    "【灯笼咖啡】拿铁买一送一：http://localhost:8080/c/7GQ2XK 拒收请回复R",
    "【灯笼咖啡】优惠：http://localhost:8080/c/7GQ2XK 退订回T",
    "Lantern: 2 pour 1. STOP au 36180",
]

REACTIONS = [
    f"Liked “{OUR_TEXT}”",
    f'Liked "{OUR_TEXT}"',
    f"Loved “{OUR_TEXT}”",
    f"Laughed at “{OUR_TEXT}”",
    f"Emphasized “{OUR_TEXT}”",
    f"Emphasised “{OUR_TEXT}”",
    f"Disliked “{OUR_TEXT}”",
    f"Questioned “{OUR_TEXT}”",
    f"Reacted 👍 to “{OUR_TEXT}”",
    f"Reacted ❤️ to “{OUR_TEXT}”",
    f"Reacted 👍🏽 to “{OUR_TEXT}”",
    f"Removed a like from “{OUR_TEXT}”",
    f"Removed a heart from “{OUR_TEXT}”",
    f"Removed an exclamation from “{OUR_TEXT}”",
    f"Removed 👍 from “{OUR_TEXT}”",
    f"\u200a\u200b👍\u200b to “\u200a{OUR_TEXT}\u200a”\u200a",
    f"👍 to “{OUR_TEXT}”",
    "Liked “STOP”",
    "Disliked “please stop texting me”",
    "Loved “VOTE 3”",
    "liked “Lantern Coffee: 2 lattes for 1. Reply STOP to en",
    "Loved “Lantern Coffee: 2 lattes…”",
    "Loved “We don't stop. Reply STOP to end”",
    "Loved an image",
    "Liked a message",
    "Laughed at an image",
    f"A aimé « {OUR_TEXT} »",
    f"A adoré « {OUR_TEXT} »",
    f"N’a pas aimé « {OUR_TEXT} »",
    f"A ri de « {OUR_TEXT} »",
    f"A mis en évidence « {OUR_TEXT} »",
    f"A réagi avec 😂 à « {OUR_TEXT} »",
    f"Le gustó “{OUR_TEXT}”",
    f"Le encantó “{OUR_TEXT}”",
    f"Le dio risa “{OUR_TEXT}”",
    f"Exclamó por “{OUR_TEXT}”",
    f"Reaccionó con 🔥 a “{OUR_TEXT}”",
    f"Gefällt „{OUR_TEXT}“",
    f"赞了“{OUR_TEXT}”",
    "喜欢了“【灯笼咖啡】拿铁买一送一 拒收请回复R”",
    "不喜欢“退订回T”",
    "对“【灯笼咖啡】拿铁买一送一 拒收请回复R”表示喜欢",
]

ROBOTS = [
    "I'm driving right now",
    "I’m driving with Do Not Disturb While Driving turned on. I’ll see your message when I get where I’m going.",
    "(I'm not receiving notifications. I'm driving and will get back to you.)",
    "I'm driving and can't text",
    "Out of office",
    "I am out of the office until Monday.",
    "This is an automated message",
    "This is an automated message. Reply STOP to unsubscribe.",
    "AUTO-REPLY: we got your text",
    "Auto reply: I'm away",
    "Automatic reply: on vacation",
    "Thank you for contacting Bob's Plumbing! We will get back to you shortly.",
    "This number is not monitored.",
    "This inbox is unmonitored",
    "Message Blocking is active.",
    "Free Msg: Unable to send message - Message Blocking is active.",
    "【自动回复】我现在不在",
    "自动回复：稍后联系您",
    "我正在开车，稍后回复您",
    "正在开车，稍后联系",
    "自動回覆：我不在",
    "我正在开会",
    "Respuesta automática: no estoy",
    "Estoy conduciendo",
    "Réponse automatique : absent",
    "Je conduis, je vous rappelle",
]

WRONG_NUMBERS = [
    "wrong number",
    "Wrong number!",
    "sorry wrong number",
    "You have the wrong number",
    "I think you've got the wrong person",
    "who is this? wrong person",
    "new phone who dis",
    "This is not Ana's number anymore",
    "nobody by that name here",
    "this number no longer belongs to Ana",
    "发错了",
    "你发错了",
    "发错人了",
    "你打错了",
    "您打错电话了",
    "發錯了",
    "号码错了",
    "我不是你要找的人",
    "不是本人",
    "número equivocado",
    "Se equivocó de número",
    "mauvais numéro",
    "Vous vous trompez de numéro",
    "erreur de numéro",
]

ANGRY = [
    "fuck you",
    "Fuck this",
    "what the fuck",
    "WTF",
    "bullshit",
    "you assholes",
    "this is spam",
    "SCAM",
    "I am reporting you to the FCC",
    "I will be suing you",
    "🖕",
    "操你妈",
    "傻逼",
    "他妈的",
    "我要投诉",
    "骗子",
    "垃圾短信",
    "mierda",
    "merde",
]

OTHERS = [
    (Intent.HELP, "HELP"),
    (Intent.HELP, "help me"),
    (Intent.HELP, "Help please"),
    (Intent.HELP, "Info"),
    (Intent.HELP, "帮助"),
    (Intent.HELP, "幫助"),
    (Intent.HELP, "AYUDA"),
    (Intent.HELP, "ＨＥＬＰ！"),
    (Intent.START, "START"),
    (Intent.START, "start."),
    (Intent.START, "Start please"),
    (Intent.START, "UNSTOP"),
    (Intent.START, "恢复"),
    (Intent.YES, "YES"),
    (Intent.YES, "yes please"),
    (Intent.YES, "Y"),
    (Intent.YES, "是"),
    (Intent.YES, "好"),
    (Intent.YES, "好的！"),
    (Intent.YES, "Sí"),
    (Intent.YES, "oui"),
    (None, "I need help choosing"),
    (None, "when does it start"),
    (None, "yes I would like a latte"),
    (None, "did I text the wrong number?"),
    (None, "我发错了，应该是2"),
    (None, "I'm driving by at 5, are you open?"),
    (None, "Liked it a lot"),
    (None, "I liked “The owl”"),
    (None, "hours"),
    (None, ""),
    (None, "🙏"),
]


@pytest.mark.parametrize("text", [*STOP_WORDS, "STOP\nSent from my iPhone", "STOP\r\n\r\nAna"])
def test_a_stop_word_is_a_stop_however_it_is_written(text: str) -> None:
    assert intent_of(text) is Intent.STOP


@pytest.mark.parametrize("text", STOP_PHRASES)
def test_a_request_in_free_words_is_a_stop(text: str) -> None:
    assert intent_of(text) is Intent.STOP


@pytest.mark.parametrize("text", NOT_A_STOP)
def test_a_text_about_something_else_is_no_stop(text: str) -> None:
    assert intent_of(text) is not Intent.STOP


@pytest.mark.parametrize("text", OUR_WORDS_COME_BACK)
def test_our_own_instruction_inside_a_longer_text_is_no_stop(text: str) -> None:
    assert intent_of(text) is None


def test_the_corpus_is_as_large_as_the_acceptance_test_asks() -> None:
    assert len({*STOP_WORDS, *STOP_PHRASES, *NOT_A_STOP}) >= 300


@pytest.mark.parametrize("text", REACTIONS)
def test_a_phones_reaction_is_kept_and_never_matched(text: str) -> None:
    assert intent_of(text, stop_words=["R", "T"]) is Intent.REACTION


@pytest.mark.parametrize(
    "text", ["Liked “Lantern Coffee: 2 lattes” please stop texting me", "Liked? stop", "Disliked it. STOP"]
)
def test_whoever_writes_on_after_the_quote_is_heard(text: str) -> None:
    assert intent_of(text) is Intent.STOP


@pytest.mark.parametrize("text", ROBOTS)
def test_an_auto_reply_is_a_robot(text: str) -> None:
    assert intent_of(text) is Intent.ROBOT


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_a_stranger_says_wrong_number(text: str) -> None:
    assert intent_of(text) is Intent.WRONG_NUMBER


@pytest.mark.parametrize("text", ANGRY)
def test_anger_without_a_request_is_kept_for_a_person(text: str) -> None:
    assert intent_of(text) is Intent.ANGRY


@pytest.mark.parametrize(("intent", "text"), OTHERS)
def test_the_other_words_are_heard_only_as_the_whole_text(intent: Intent | None, text: str) -> None:
    assert intent_of(text) is intent


@pytest.mark.parametrize("text", ["R", "r", " r. ", "Ｒ", "“R”", "回R", "回复R", "请回复Ｒ", "T", "td", "TD!", "N"])
def test_a_senders_own_word_is_a_stop_only_on_that_sender(text: str) -> None:
    assert intent_of(text, stop_words=["R", "T", "TD", "n"]) is Intent.STOP
    assert intent_of(text) is None


@pytest.mark.parametrize("text", ["R U OPEN", "T shirt", "are", "Team"])
def test_a_senders_own_word_counts_only_as_the_whole_text(text: str) -> None:
    assert intent_of(text, stop_words=["R", "T"]) is None


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Latte!! ", "latte"),
        ("ＬＡＴＴＥ", "latte"),
        ("“latte”", "latte"),
        ("VOTE   3\n", "vote 3"),
        ("拿铁。", "拿铁"),
        ("latte ☕️🙏🏽", "latte"),
        ("３", "3"),
        ("③", "3"),
        ("3️⃣", "3"),
        ("#3", "3"),
        ("ca\u200bfe\u0301", "café"),
        ("👍", ""),
    ],
)
def test_spellings_of_one_word_fold_to_one(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.sampled_from(["stop", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "stopall"]), st.data())
def test_no_case_width_or_punctuation_hides_a_stop(word: str, data: st.DataObject) -> None:
    wide = {letter: chr(ord(letter) + 0xFEE0) for letter in word}
    spelt = "".join(data.draw(st.sampled_from([letter, letter.upper(), wide[letter]])) for letter in word)
    edge = st.text(st.sampled_from(" .!?,;:…。！？\"'“”()*🙏👍🏽❤️\n\t"), max_size=5)
    assert intent_of(data.draw(edge) + spelt + data.draw(edge)) is Intent.STOP


@given(st.text(max_size=200))
def test_every_text_is_read_without_an_error(text: str) -> None:
    assert intent_of(text, stop_words=["R"]) in (None, *Intent)
