"""The language of a text: told where it is sure, and else not guessed."""
# ruff: noqa: RUF001

import pytest

from pipeline.text.read.language import LANGUAGES, UNSURE, find_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The food was not good, but they were very kind to us."),
        ("de", "Das Essen war nicht gut, aber die Bedienung war sehr freundlich."),
        ("fr", "Le repas n'était pas bon, mais les serveurs sont très gentils avec nous."),
        ("es", "La comida no estaba muy buena, pero los camareros son amables con el cliente."),
        ("it", "Il cibo non era buono, ma questo è un posto che mi piace."),
        ("pt", "A comida não estava boa, mas os empregados foram muito simpáticos."),
        ("nl", "Het eten was niet lekker, maar de bediening is wel goed en aardig."),
        ("sv", "Maten var inte god, men jag tycker att personalen är trevlig och snäll."),
        ("pl", "Jedzenie nie było dobre, ale obsługa jest bardzo miła i to się liczy."),
        ("tr", "Yemek çok kötü değil ama servis için bir şey diyemem."),
        ("vi", "Đồ ăn không ngon nhưng nhân viên rất tốt với khách."),
        ("ru", "Еда была не очень вкусная, но мы всё равно придём ещё."),
        ("uk", "Їжа не дуже смачна, але ми ще прийдемо, бо тут є затишно."),
        ("ar", "الطعام ليس جيدا على الرغم من أن المكان جميل في هذا الحي"),
        ("fa", "غذا خوب نبود اما این رستوران را برای شما که می آیید"),
        ("el", "Το φαγητό δεν ήταν καλό"),
        ("he", "האוכל לא היה טוב"),
        ("hi", "खाना अच्छा नहीं था"),
        ("th", "อาหารไม่อร่อย"),
        ("ko", "음식이 맛있어요"),
        ("ja", "料理はとても美味しかったです"),
        ("zh", "味道不错，送餐很快"),
        ("zh", "下午3点 order 送到"),
    ],
)
def test_a_sentence(language, text):
    assert find_language(text) == language
    assert language in LANGUAGES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10/10",
        "Wow!",
        "Great phone",
        "sushi Vegas tapas",
        "ok :)",
        "👍👍",
        "Köln Málaga",
        "muy",
    ],
)
def test_what_tells_nothing_is_not_sure(text):
    assert find_language(text) == UNSURE


def test_the_apostrophe_of_another_language_is_no_word():
    assert find_language("What 's Japan 's largest car manufacturer ?") in ("en", UNSURE)


def test_a_text_of_two_languages_is_not_sure():
    assert find_language("the and of der und nicht") == UNSURE
