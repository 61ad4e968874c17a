"""How people put it when they want to leave, are strangers, swear or let a machine answer: the word lists of `words`.

All patterns read sentences as `words` prepares them: lower case, no accents, no apostrophes (`dont`), simplified
characters. English and Chinese are meant to be complete, Spanish and French to catch what is common.
"""

from __future__ import annotations

import re


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _words(*patterns: str) -> re.Pattern[str]:
    """Whole words of languages that put spaces between them."""
    return re.compile(r"\b(?:" + "|".join(patterns) + r")\b")


def _written(*patterns: str) -> re.Pattern[str]:
    """Chinese, which is searched with spaces and punctuation taken out."""
    return re.compile("|".join(patterns))


# --- one word is enough --------------------------------------------------------------------------------------------

STOP_WORDS = _vocabulary("""
    stop stopall unsubscribe cancel end quit revoke optout unsub unsubscribed desubscribe cease desist halt remove
    sotp stpo tsop stp st0p stopt stopit stopnow unsubcribe unsuscribe unsubscibe unsubsribe unsubscrbe usubscribe
    alto parar pare paren para basta baja cancelar salir fin
    arret arreter arretez arrete stopper desabonner desabonnement desinscrire desinscription resilier annuler
    退订 停 停止 停发 取消 结束 拒收 拒绝 屏蔽 终止 中止 滚 滚开 滚蛋 走开 勿扰 免打扰 不需要 不感兴趣 没兴趣 别发
""")
STOP_TEXTS = frozenset(
    {"not interested", "no longer interested", "no more", "enough", "no mas", "do not disturb"}
    | {"no texts", "no text", "no sms", "no messages", "no msgs"}
)
STOP_SIGNS = frozenset("🛑⛔🚫")  # alone they can mean nothing else
START_WORDS = _vocabulary("start unstop resume subscribe resubscribe optin iniciar alta reprendre 恢复 订阅 恢复订阅")
HELP_WORDS = _vocabulary("help info information infos ayuda aide 帮助 帮忙 客服")
YES_WORDS = _vocabulary("yes y yep yeah yup si oui 是 是的 好 好的 好啊 同意 确认")

COURTESY = _vocabulary("""
    please pls plz plse kindly thanks thank you thx ty sorry hi hello hey sir madam maam ok okay and so just
    now immediately asap today already right forever me all it this everything guys
    请 谢谢 por favor gracias ya hola sil vous plait merci svp bonjour
""")
AROUND_A_STOP = COURTESY | _vocabulary("yes si oui todo tout fuck fucking damn goddamn bloody")

# STOP LATTE and "stop lantern" end it; "stop by", "stop sign" and "stop drinking" are about something else.
STOP_AND_NAME = re.compile(
    r"(?:please )?(?:stop|stopall)"
    r"(?! (?:by|in|at|the|a|an|over|and|on|off|for|with|as|near|is|was|to|or|if|when|being|your|my|worry)\b)"
    r"(?! (?:signs?|motion|watch|lights?|gap|loss)\b)"
    r"(?: (?!\w+ing\b)\w+){1,2}"
)

# --- a request in free words ---------------------------------------------------------------------------------------

_TO_STOP = r"(?:stop|quit|cease|halt|discontinue)"
_FILLERS = (
    r"(?:(?:all|the|these|those|your|ur|my|any|of|from|with|me|us|this|more|further|sending|getting|receiving"
    r"|damn|stupid|fucking) )*"
)
_OUR_TEXTS = (
    r"(?:te?xts?|messages?|msgs?|sms|mms|notifications?|alerts?|ads|adverts?|advertis\w*|promos?|promotions?"
    r"|promotional|offers|marketing|spam\w*|subscriptions?|membership|communications?|newsletters?|calls|e?mails?)"
)
_REACHING_OUT = (
    r"(?:te?xt|messag|msg|sms|send|contact|spam|bother|harass|bug|annoy|call|mail|email|market|advertis|pester)"
)
_ASKED = (
    r"(?:said|say|saying|told you|telling you|asked you|asking you|need you|like you|want you|you|begging you|trying"
    r"|how (?:do|can|would) i|how to|wanna|make (?:this|it|them|these)"
    r"|(?:i|we) want|want (?:this|it|these|them)|id like)"
)
_DO_NOT = r"(?<!\bi )(?<!\byou )(?<!\bwe )(?<!\bthey )(?<!\bu )(?<!\bon )(?:do not|dont|never|not to)"
_NOT_WANTED = r"(?:do not|dont|didnt|did not|no longer|never)(?: \w+)? (?:want|wish|care|like|ask|asked|need)"

STOP_PHRASES = _words(
    rf"{_TO_STOP} {_FILLERS}{_REACHING_OUT}\w*",
    rf"(?:{_TO_STOP}|cancel|end|no more|enough|sick of|tired of|done with) {_FILLERS}{_OUR_TEXTS}",
    r"(?:stop|quit) (?:it|this|that|these|those|now|please|asap)(?! (?:is|was|place|store|shop|year))",
    rf"{_ASKED}(?: to| please)* stop(?: (?:this|it|these|getting|receiving|now|please|all)\b.*)?$",
    r"(?:want|wanna|like|wish|need)(?: to)? (?:cancel|quit|end)(?: (?:this|it|now|please|these))?$",
    r"unsubscribe|unsub|opt (?:me )?out|opting out|deregister|unenroll|stop sms",
    r"(?:remove|delete|erase|scrub) (?:me|us|my|our|this (?:number|phone))(?! (?:order|vote|entry|card|coupon|last))",
    r"(?:take|get|drop) (?:me|us|my number|my phone|my name|this number) (?:off|out of|from)",
    r"(?:want|like|wish|need|let me) (?:to )?(?:be (?:removed|taken off|off)|out|off)(?: (?:of|from|your|this|the)|$)",
    r"leave (?:me|us) (?:alone|be|the \w+ alone)|lose (?:my|this) (?:phone )?number",
    r"go away|get lost|back off|buzz off|(?:fuck|piss|bugger|sod|eff) off",
    r"(?:revoke|withdraw|rescind|retract) (?:\w+ )?(?:consent|permission|authori[sz]ation)",
    rf"{_DO_NOT}(?: ever| please| you dare)* (?:te?xt|message|msg|sms|contact|bother|spam|harass)",
    rf"{_DO_NOT}(?: ever| please| you dare)* disturb (?:me|us|this)",
    rf"{_DO_NOT}(?: ever| please)* (?:send|call|e?mail) (?:me|us|any|anything|more|these|this|{_OUR_TEXTS})",
    rf"{_NOT_WANTED} to (?:receive|get|hear|have|be (?:te?xted|messaged|contacted|spammed|bothered|on|part|in))",
    rf"{_NOT_WANTED} (?:for (?:this|these)|{_FILLERS}{_OUR_TEXTS}|(?:any of )?(?:this|these)$|anything from)",
    r"(?:never|didnt|did not) (?:sign(?:ed)? up|subscribed?|consent(?:ed)?|agreed?|opt(?:ed)? in)"
    r"(?: (?:for|to) (?:this|these)|$)",
    r"(?:never|didnt|did not) (?:gave|give) (?:you )?(?:permission|consent)",
    # Spanish
    r"(?:dar|darme|darse|dame|denme|deme|quiero la) (?:de )?baja|desuscri\w+|responder stop$|enviar stop$",
    r"cancelar (?:la |mi |los |las )?(?:suscripcion|mensajes|sms)",
    r"no (?:quiero|deseo|necesito) (?:\w+ )?(?:mas|recibir|mensajes|sms|textos)|no mas (?:mensajes|sms|textos)",
    r"ya no quiero|no me (?:envi|mand|escrib|molest|contact|llam)\w+|no molest\w+|no envi\w+ mas",
    r"(?:deja|dejen|paren|pare|basta) de (?:envi|mand|escrib|molest|contact)\w+|(?:deja|dejen)me en paz",
    r"(?:quit|elimin|borr|sa[cq]u?)\w+ (?:mi numero|de (?:la|su) lista)|(?:quit|elimin|borr|saqu|sac)(?:a|en)me",
    # French
    r"m?(?:desabonn|desinscri)\w*|plus de (?:messages?|sms|textos?|pubs?)|plus recevoir",
    r"(?:m|me |nous )(?:envoyez|ecrivez|contactez|envoie|derangez|harcelez) (?:plus|pas)",
    r"(?:arret|cess)\w+ (?:de |d|les |vos |ces )+(?:menvoy|envoy|mecri|messag|sms|texto|pub|harcel|me )\w*",
    r"laissez? moi (?:tranquille|en paix)|(?:fichez|foutez) moi la paix|(?:retir|supprim|enlev)\w+ (?:moi|mon numero)",
)

NEGATED = re.compile(
    r"\b(?:dont|do not|didnt|did not|did|never|not|cant|cannot|wont|will not|wouldnt|shouldnt|no need to|no|non"
    r"|did (?:yo)?u|have you|(?:dont|do not|didnt|never) (?:want|need|mean|ask|wish) (?:\w+ ){0,2}to)"
    r"(?: ever| please| you ever)? $"
)

STOP_WRITTEN = _written(
    r"(?<![不没未别勿误])(?<!不要)(?<!不想)(?<!没有)(?<!不会)(?<!不用)(?<!无需)(?<!不能)(?:"
    r"退订(?!了吗|成功)|取消(?:订阅|短信|推送|通知|接收|关注)"
    r"|停止(?:再|给我|向我|一切|所有)*(?:发|推送|短信|骚扰|打扰))",
    r"(?:别|不要|不用|不必|不许|不准|请勿|勿|禁止|不想|不愿|不再|拒绝)"
    r"(?:再|老|总|一直|继续|随便|乱|给|向|往|跟|我|来|接收|接受|收到|收|看到|看|你们?|贵公司|的|这种|这些|任何|此类|什么|了)*"
    r"(?:发(?!票|错|现|生|货|烧|到|抖)|短信|信息|消息|推销|推送|广告|骚扰|打扰|烦我|烦人|联系我|垃圾)",
    r"(?:别|不要|勿)再?来?(?:烦|找|理|吵)我",
    r"把我.{0,10}(?:删|移除|移出|去掉|拿掉|拉黑)|(?:名单|列表).{0,4}(?:删|移除|移出|去掉)",
    r"删(?:除|掉|了)?(?:我|本人)的?(?:号码|手机|信息|资料|$)",
    r"[再还](?:敢)?(?:给我)?发.{0,8}(?:投诉|举报|报警|拉黑)|退出订阅|滚(?:开|蛋|远点)|离我远点",
    r"(?:不想要|不要|没兴趣|受够)(?:你们的?)?(?:短信|广告|推销)",
)

# What we and others write under a text, come back inside a quote or a forward.
_WAY_OUT = r"(?:stop|stopall|end|quit|cancel|unsubscribe|arret|alto|baja)"
_ANSWER = r"(?:reply|text|txt|send|respond|type|answer|responda?|envie|envia|repondez|envoyez)"
INSTRUCTION = re.compile(
    rf"(?:\b{_ANSWER}(?: with| back)?(?: the)?(?: word)? )?\b{_WAY_OUT} ?(?:to|2|for|para|pour) ?"
    r"(?:end|stop|quit|opt ?out|cancel|unsub|leave|no more|be removed|salir|darse de baja|se desabonner|arreter)\w*"
    rf"|\bto (?:end|stop|opt ?out|cancel|unsubscribe)(?: \w+){{0,3}} {_ANSWER}(?: with)? {_WAY_OUT}\b"
    rf"|\b{_ANSWER}(?: with| back)?(?: the)?(?: word)? {_WAY_OUT}\b"
    r"|\bstop (?:au|sms) ?(?:au )?\d{5}"
    r"|(?:拒收|退订)(?:短信)?请?(?:直接)?(?:回复?|发送?) ?(?:[a-z]{1,4}\b|退订)|请?回复? ?[a-z]{1,4} ?(?:退订|拒收)"
)

# --- strangers, machines, anger ------------------------------------------------------------------------------------

WRONG_NUMBER_PHRASES = _words(
    r"(?<!is this the )(?<!did i text the )(?<!i have the )(?<!i got the )"
    r"wrong (?:number|person|phone|guy|girl|lady|man|woman)",
    r"who dis|(?:not|isnt) (?:\w+ )?(?:number|phone) any ?more|changed (?:his|her|their) number",
    r"(?:no one|nobody|noone) (?:here )?(?:by|with|of) th(?:at|is) name|(?:this is|im|i am) not (?:the person|who you)",
    r"(?:dont|do not) know who \w+ is|this number (?:does not|doesnt|no longer) belongs?",
    r"numero (?:equivocado|incorrecto|errado)|equivoc\w+ de numero|persona equivocada",
    r"(?:mauvais|faux) numero|erreur de (?:numero|destinataire)|tromp\w+ de (?:numero|personne)",
)
WRONG_NUMBER_WRITTEN = _written(
    r"(?<!我)(?:发|打|找|认)错|你们?弄错|号码(?:不对|错|已换)|错号|不是(?:本人|机主)|不是你们?要?找的人|查无此人|换号了"
)

ROBOT_PHRASES = _words(
    r"(?:im|i am) (?:currently )?driving(?= (?:right|now|and|with)|$)|driving (?:focus|mode)|disturb while driving",
    r"(?:out of|away from) (?:the )?(?:office|my desk|my phone)|on (?:\w+ )?(?:leave|vacation|holiday) (?:until|till)",
    r"auto(?:mated|matic)? ?(?:repl(?:y|ied)|response|responder|message|text)|automatically (?:sent|generated)",
    r"(?:not|un) ?(?:being )?monitored|do not reply to this|will (?:see|read) your (?:message|text) when",
    r"thank(?:s| you) for (?:contacting|reaching out|your (?:message|text|enquiry|inquiry)|texting|messaging)",
    r"(?:ill|i will|we will|well) (?:get back to|reply to|call) you",
    r"message blocking is active|mailbox (?:is )?full|service access denied|notifications silenced",
    r"(?:respuesta|mensaje) automatic[ao]|estoy (?:conduciendo|manejando)|fuera de la oficina",
    r"(?:reponse|message) automatique|je conduis|je suis au volant|absente? du bureau",
)
ROBOT_WRITTEN = _written(
    r"自动(?:回复|应答|答复)|(?:正在|我在)(?:开车|驾驶|驾车)|开车中|驾驶中|正在开会|现在不方便接",
    r"稍后再?(?:给|与)?[您你]?(?:回复|联系|回电)",
)

ANGRY_PHRASES = _words(
    r"fuck\w*|fuk|fck|wtf|stfu|shit\w*|bullshit|assholes?|bitch\w*|bastards?|cunts?|dickheads?|motherfuck\w*|screw you",
    r"idiots?|morons?|scam\w*|spam\w*|(?:sue|suing) you|my (?:lawyer|attorney)",
    r"(?:report|block)(?:ing)? (?:you|this(?: number)?)|fcc|tcpa",
    r"mierda|puta\w*|puto|pendej\w+|cabron\w*|gilipollas|estafa\w*|joder",
    r"merde|putain|connards?|conn?asses?|salauds?|encule\w*|arnaque\w*",
)
ANGRY_WRITTEN = _written(
    r"[操肏草艹]你|傻[逼比叉屄]|他妈|妈的|混蛋|王八|去死|神经病|有病吧|投诉|举报|12321|骗子|诈骗|垃圾短信"
)

# --- a phone's reactions -------------------------------------------------------------------------------------------

# iOS tapbacks and Android's reactions reach a plain phone as a text that quotes ours. English, French and Spanish
# wordings as seen in exported conversations; German and Chinese ones as far as known.
_SOMETHING = r"[^\"“«]{1,25}"
_EMOJI = r"[^\w\s\"'“”‘’«»„「」『』]{1,12}"
REACTED = re.compile(
    r"(?:(?:dis)?liked|loved|laughed at|emphasi[sz]ed|questioned|reacted (?:with )?\S{1,12}(?: to)?"
    rf"|removed {_SOMETHING} from"
    r"|(?:no )?le (?:gust[oó]|encant[oó]|dio risa)|se ri[oó] de|exclam[oó] por|destac[oó]|enfatiz[oó]|cuestion[oó]"
    rf"|reaccion[oó] con \S{{1,12}} a|(?:quit[oó]|elimin[oó]) {_SOMETHING} de"
    r"|a (?:aim[eé]|ador[eé]|ri de|soulign[eé]|mis en [eé]vidence|pos[eé] une question sur)"
    rf"|a r[eé]agi avec \S{{1,12}} [aà]|n['’]a pas aim[eé]|s['’]est interrog[eé]\S* sur|a retir[eé] {_SOMETHING} de"
    r"|(?:gef[aä]llt|gefiel)(?: nicht)?|liebte?|lachte? über|betonte?|hinterfragte?|mit \S{1,12} (?:auf|reagiert auf)"
    r"|已?(?:点?[赞讚]|不?喜[欢歡]|喜[爱愛]|踩|[强強][调調]|[质質]疑|大笑|逗笑|笑)[了过過]?|[对對]"
    r"|[用使以][^“\"「]{1,8}回[应應]了?"
    rf"|{_EMOJI}\s*(?:to|[aà]|zu|auf))\s*[:：]?\s*",
    re.IGNORECASE,
)
ATTACHMENT = re.compile(
    r"(?:an?|una?|une|ein|your|the) (?:image|photo|picture|message|video|movie|attachment|link|sticker|gif"
    r"|audio message|imagen|foto|vidéo|bild)\W*$",
    re.IGNORECASE,
)
AFTER_THE_QUOTE = re.compile(r"[\W_]*(?:(?:表示|做出|作出|的?回[应應]|大笑|[点點][赞讚]|[标標][记記]).{0,12})?$")
QUOTES = {"“": "”", '"': '"', "«": "»", "„": "“", "「": "」", "『": "』", "‘": "’", "'": "'"}
