"""Keywords: 200 answers as people give them, in eight languages, and whether each is a keyword.

Decision 83 says where the line is: the whole message is a word of the lists, or it is for people to read.
"""

from typing import Final

import pytest

from campaigns.messages.keywords import HELP_WORDS, START_WORDS, STOP_WORDS, Action, Keywords, skeleton

STOP, START, HELP, NONE = Action.STOP, Action.START, Action.HELP, None

ENGLISH: Final = {
    STOP: [
        *("STOP", "stop", "Stop", "sToP", " stop ", "stop\n", "Stop.", "Stop!", "STOP!!!!", "stop?", "(stop)"),
        *('"STOP"', "'stop'", "“Stop”", "#stop", "/stop", "*STOP*", "stop :)", "stop 🙏", "🛑 STOP 🛑", "stop❤️"),
        *("S T O P", "s.t.o.p.", "S-T-O-P", "s_t_o_p", "ST OP", "S\nT\nO\nP", "st\u200bop", "s\u00adtop", "\ufeffstop"),
        *("STOP STOP", "stop stop stop", "Stop, stop!", "STOP unsubscribe", "stooop", "STOPP", "stoppp!!", "sttop"),
        *("ＳＴＯＰ", "𝗦𝗧𝗢𝗣", "ⓈⓉⓄⓅ", "s̶t̶o̶p̶", "ST0P", "STОP", "ЅТОР", "unsubscribe", "UNSUBSCRIBE.", "Un-subscribe"),
        *("un subscribe", "End", "quit", "STOP ALL", "stopall", "Revoke", "opt out", "Opt-out", "OPTOUT", "cancel"),
        *("Cancel!", "CANCEL CANCEL"),
    ],
    START: ["START", "start", "Start!", "Yes", "YES!!!", "y e s", "yess", "unstop", "Un-stop", "START, yes"],
    HELP: ["HELP", "help", "Help?", "help!!", "INFO", "info.", "H E L P", "🆘 help"],
    NONE: [
        *("Stop please", "please stop", "pls stop", "Stop it", "STOP NOW", "stop texting me", "Stop sending me this"),
        *("to stop", "don't stop", "Do not stop", "never stop", "non-stop", "nonstop", "stop by at 5", "bus stop"),
        *("unsubscribe me", "remove me", "take me off your list", "cancel my order", "Cancel my appointment at 3"),
        *("can you cancel?", "the end", "The end of what?", "end of month", "I quit smoking", "weekend", "ended"),
        *("no", "No thanks", "who is this", "wrong number", "ok", "Thanks!", "stop 1", "STOP2", "1", "?", "👍", "🛑"),
        *("yes I will come", "yes, but later", "yesterday", "start at 9?", "restart", "helpful", "I need help"),
        *("help me choose", "more info", "Information", "", " ", "...", "stops", "stopped", "stopover", "TOP", "pots"),
    ],
}
RUSSIAN: Final = {
    STOP: [
        *("СТОП", "стоп", "Стоп!", "стоп!!!", "Стоп.", "С Т О П", "с-т-о-п", "стоооп", "СТОП СТОП", "«Стоп»"),
        *("CTOП", "CTOP", "ctop", "CТОП", "стоп 🙏", "СТОП, отписка", "Отписка", "отписаться", "ОТПИСАТЬСЯ!"),
        *("отпи саться", "Отмена", "OTMEHA", "отмена."),
    ],
    START: ["СТАРТ", "Старт!", "CTAPT", "Да", "да!", "ДА ДА", "дааа"],
    HELP: ["ПОМОЩЬ", "помощь?", "Инфо", "инфо!"],
    NONE: [
        *("не stop", "не стоп", "стоп пожалуйста", "Пожалуйста, стоп", "Стоп, а сколько стоит?", "стопка", "автостоп"),
        *("отпишите меня", "Отпишитесь", "хочу отписаться", "как отписаться?", "Отмените заказ", "отмена записи"),
        *("нет", "да, приду", "Да нет", "дача", "Спасибо", "кто это?", "помощь нужна", "стартуем", "информация"),
    ],
}
UKRAINIAN: Final = {
    STOP: ["СТОП", "Стоп!", "стoп"],
    NONE: ["Зупинити", "стоп будь ласка", "Скасувати", "Так", "відписатися", "Дякую, стоп"],
}
KAZAKH: Final = {STOP: ["СТОП!", "Стоп"], NONE: ["Тоқта", "тоқтату", "Иә", "Рахмет", "стоп деймін", "жоқ"]}
GERMAN: Final = {
    STOP: ["Stopp", "STOPP!", "stop", "Stop!!"],
    START: ["Start"],
    NONE: ["Bitte stopp", "Stopp bitte", "Abmelden", "Kündigen", "Ende", "nein danke", "Ja", "Hilfe", "Stoppuhr"],
}
FRENCH: Final = {
    STOP: ["STOP", "Stop !", "stop.", "« STOP »"],
    NONE: ["Stop svp", "STOP SMS", "arrêt", "Arrêtez", "Désabonner", "oui", "non merci", "stop à la pub"],
}
SPANISH: Final = {
    STOP: ["STOP", "¡Stop!", "¡¡STOP!!", "CANCEL"],
    NONE: ["Cancelar", "BAJA", "Alto", "no más", "Sí", "cancela mi pedido", "stop por favor", "ayuda"],
}
GREEK_AND_TURKISH: Final = {
    STOP: ["ΣΤΟΠ", "στοπ", "Στοπ!", "STOP", "stop ✋"],
    NONE: ["DUR", "İptal", "iptal et", "durdur", "stop lütfen", "όχι", "σταμάτα", "ναι"],
}
LANGUAGES: Final = (ENGLISH, RUSSIAN, UKRAINIAN, KAZAKH, GERMAN, FRENCH, SPANISH, GREEK_AND_TURKISH)
ANSWERS: Final = [(text, verdict) for table in LANGUAGES for verdict, texts in table.items() for text in texts]


@pytest.mark.parametrize(("text", "verdict"), ANSWERS)
def test_an_answer_gets_the_right_verdict(text: str, verdict: Action | None) -> None:
    keyword = Keywords().find(text)
    assert (keyword and keyword.action) == verdict


def test_the_table_is_large_enough() -> None:
    assert len(ANSWERS) >= 200


@pytest.mark.parametrize("word", [*STOP_WORDS, *START_WORDS, *HELP_WORDS])
def test_every_word_of_the_contract_is_a_keyword(word: str) -> None:
    keyword = Keywords().find(f" {word.lower()}! ")
    assert keyword is not None
    assert keyword.word == word
    assert keyword.after_stop == (word in ("YES", "ДА"))


@pytest.mark.parametrize(("text", "cyrillic"), [("stop", False), ("стоп", True), ("ctop", True), ("ΣΤΟΠ", True)])
def test_the_alphabet_is_that_of_the_lists_word(text: str, cyrillic: bool) -> None:
    keyword = Keywords().find(text)
    assert keyword is not None
    assert keyword.cyrillic == cyrillic


def test_lists_of_an_installation_replace_the_defaults_and_may_contain_phrases() -> None:
    keywords = Keywords(stop=["Stop please", "रोकें"], start=["JA"], help_=["HILFE"])
    found = {text: keywords.find(text) for text in ("stop, please!", "stop", "रोकें", "रक", "ja", "Hilfe")}
    assert {text for text, keyword in found.items() if keyword is None} == {"stop", "रक"}


@pytest.mark.parametrize(
    "lists", [{"stop": ["!!!"]}, {"stop": [""]}, {"stop": ["x" * 41]}, {"stop": ["СТОП"], "start": ["ctop"]}]
)
def test_lists_that_make_no_sense_are_refused(lists: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="word"):
        Keywords(**lists)


def test_a_long_text_is_read_in_no_time() -> None:
    keywords = Keywords(stop=["AB", "ABAB"])
    assert keywords.find("ab" * 250) is not None
    assert keywords.find("ab" * 249 + "c") is None
    assert keywords.find("ab" * 1000) is None


def test_a_skeleton_has_no_marks_but_those_that_are_vowels() -> None:
    assert skeleton("S\u0336t\u0336o\ufe0fp\u20e3") == "stop"
    assert skeleton("बंद") != skeleton("बद")
