"""Made-up names for synthetic markets: no company and no person behind them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Names = npt.NDArray[np.object_]


def _words(text: str) -> Names:
    return np.array(text.split("|"), dtype=object)


_STEMS = _words(
    "Aldervale|Amberwick|Ashgrove & Thorne|Bellhaven|Béltierre|Birchmoor|Blackquill|Bramblewood|Brightmoor|"
    "Cairnmoss|Calderbrook|Canyon Lark|Cedarfall|Château Lumen|Cobaltine|Copperfinch|Cordelle & Fils|Cresthollow|"
    "Dovemere|Drumlin|Duskwater|Eastmarrow|Elderquay|Emberline|Fairwether|Fennimoor|Fernhollow|Flintlock Ridge|"
    "Fox & Quill|Galewright|Glassmere|Goldenrook|Graymantle|Greenspindle|Halcyon Fold|Harrowgate Mesa|Hawksbeard|"
    "Hazelwyck|Heronfield|Hollyoak Bend|Ironbell|Ivory Kestrel|Juniper & Sable|Kestrelmont|Kingsfennel|La Ceñida|"
    "Lanternwood|Larkmoor|Lindenfall|Little Ox|Lodestone|Maplethorn|Marigold & Daughters|Meadowlark's|Millrace|"
    "Mistral Verde|Moonquarry|Mosswright|Nightjar|Northquill|Ñandara|O'Dunmore|O'Hallowell|Oakenshire|Old Tamarack|"
    "Orchard Nine|Otterbrook|Palisander|Pebblestone|Peñalúz|Pinewhistle|Quarrymen's|Quillfeather|Ravensmoor|"
    "Redwattle|Ridgelantern|Riverwren|Rookhaven|Rosequartz|Saffronfield|Sagebrook|Saltmarsh|Sandpiper & Co|"
    "Silverthistle|Skylark Basin|Slatebridge|Snowbarrow|Spindle & Sons|Starling Fork|Stonecroft|Summerwick|"
    "Sundrift|Swiftwater Bend|Tallowmere|Thistledown|Thornquist Vale|Timberlark|Trillium Pass|Twin Herons|Umberfield|"
    "Valdélis|Vesper & Vale|Violet Anvil|Waxwing|Wexcombe|Wheatmantle|Whitlock's|Widow's Creek|Willowmere|Windrush|"
    "Winterquay|Wolfsbane|Wrenfield|Yarrow & Pike|Yewbridge|Zephyrine|Zinnia Row"
)
_KINDS = {
    "health": "Clinic|Medical Group|Care Partners|Diagnostics|Dental|Physical Therapy|Home Care|Laboratories",
    "retail": "Outfitters|Grocers|Hardware|Home Goods|Sporting Goods|Pharmacy|Markets|Books",
    "manufacturing": "Castings|Tool Works|Plastics|Bearings|Packaging|Foods|Instruments|Textiles",
    "education": "Academy|College|Schools|Learning Centers|Institute|Training|Library System|Montessori",
}
_ENDINGS = _words(", Inc.|, LLC| Ltd.| Co.||| Holdings| of the Valley")
_FIRST = _words(
    "Ana|Aarav|Alma|Amélie|André|Anneke|Ayodele|Beatriz|Björn|Camille|Carmen|Chidi|Dalia|Daniel|Deepa|Eamon|Elif|"
    "Emeka|Esther|Farah|Felix|Gabriela|Grace|Hana|Hugo|Imani|Ines|Ivan|Jamal|Jordan|José|Kavya|Keiko|Lars|Leila|Lena|"
    "Luis|Maeve|Malik|María|Mateo|Mei|Mira|Nadia|Naomi|Noah|Noémie|Olga|Omar|Paolo|Priya|Quinn|Rafael|Renée|Rosa|"
    "Ruth|Samir|Sean|Siobhán|Sofía|Tariq|Teresa|Theo|Uma|Vera|Wei|Ximena|Yara|Yusuf|Zoë"
)
_LAST = _words(
    "Abernook|Alderquist|Amberly-Cruz|Ashdowne|Bellwyn|Birchard-Lee|Brannock|Calderón-Frost|Castelmoor|Corvane|"
    "D'Alverné|Dunmarrow|Eastmond|Elderveld|Fairholt|Fenwright|Fontessa|Galdwin|Garrowby|Glenhollow|Grünwalt|Halloran-Ito|"
    "Harkness-Oda|Hawkmoor|Ibáñez-Wold|Inglemark|Jarrowell|Jessamine|Kestridge|Kirravane|Lárkspur|Lindqvale|Lockmere|"
    "Marchetta|Mbeki-Stone|Merriwick|Montcalme|Núñez-Lark|Nakashima-Bell|Nightingell|O'Brannick|O'Dovern|Okonjo-Reed|"
    "Ortiz-Lee|Pallister|Pennavale|Quillfeather|Quesada-Holm|Ravenell|Rosmarin|Sandoval-Pike|Sørenvik|Stonebrook|"
    "Tallisker|Thornebury|Tremontaine|Underholt|Vantongeren|Velázquez-Moor|Whitmere|Winterbourne|Yarrowby|Zamorano-Birch"
)


def company_names(rng: np.random.Generator, industries: Names) -> Names:
    """Return one name per account, fitting its industry; all different as far as the words go."""
    size = len(industries)
    names = np.empty(size, dtype=object)
    for industry, words in _KINDS.items():
        kinds = _words(words)
        mask = industries == industry
        count = int(mask.sum())
        code = _codes(rng, len(_STEMS) * len(kinds) * len(_ENDINGS), count)
        stem, rest = np.divmod(code, len(kinds) * len(_ENDINGS))
        kind, ending = np.divmod(rest, len(_ENDINGS))
        names[mask] = _STEMS[stem] + " " + kinds[kind] + _ENDINGS[ending]
    return names


def people_names(rng: np.random.Generator, size: int) -> Names:
    """Return names of people, all different as far as the words go."""
    first, last = np.divmod(_codes(rng, len(_FIRST) * len(_LAST), size), len(_LAST))
    names: Names = _FIRST[first] + " " + _LAST[last]
    return names


def industries() -> tuple[str, ...]:
    """Return the industries that have names."""
    return tuple(_KINDS)


def _codes(rng: np.random.Generator, pool: int, size: int) -> npt.NDArray[np.int64]:
    return rng.choice(pool, size=size, replace=size > pool)
