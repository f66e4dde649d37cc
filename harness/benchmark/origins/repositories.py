"""The hub's repositories with the commits that are loaded, and where each commit was seen in public.

A pin is a commit whose files are parquet or JSON lines: `datasets` 4 and later runs no loading script.
"""

from harness.core.origins import Repository

XTREME = Repository(
    name="google/xtreme",
    revision="ec5f1f46e9af79639a90684a7a70a956c4998f04",
    seen="public code that loads MLQA.en.en/validation-00000-of-00001.parquet and PAWS-X.es at it",
    licence="several, by task",
)
XNLI = Repository(
    name="facebook/xnli",
    revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
    seen="public code that loads all_languages/test-00000-of-00001.parquet at it",
    licence="CC BY-NC 4.0",
)
PAWS_X = Repository(
    name="google-research-datasets/paws-x",
    revision="4cd8187c404bda33cb1f62b49b001115862acf37",
    seen="public code that loads zh/validation-00000-of-00001.parquet at it",
    licence="free use, acknowledgement appreciated",
)
XCOPA = Repository(
    name="cambridgeltl/xcopa",
    revision="042f78955ba48e6404616762fa6e05e839c3907a",
    seen="public code that pins xcopa_tr, xcopa_zh and xcopa_swa at it",
    licence="CC BY 4.0",
)
SUPER_GLUE = Repository(
    name="aps/super_glue",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    seen="public code that loads multirc/validation-00000-of-00001.parquet at it",
    licence="other, by task",
)
SOCIAL_I_QA = Repository(
    name="allenai/social_i_qa",
    revision="537a2ec8ec565adc0b70b70752893e59e024df26",
    seen="public code that loads default/train/0000.parquet at it; the tip of refs/convert/parquet",
    licence="CC BY 4.0",
)
WIKIANN = Repository(
    name="unimelb-nlp/wikiann",
    revision="f0a3be6dc5564c0cc4150bb660144800a1f539d4",
    seen="public links to the folder bn and the README at it, and code that pins it",
    licence="not stated",
)
XQUAD = Repository(
    name="google/xquad",
    revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
    seen="embeddings-benchmark/mteb XQuADRetrieval",
    licence="CC BY-SA 4.0",
)
SQUAD = Repository(
    name="rajpurkar/squad",
    revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    seen="public code that pins it, and caches plain_text/0.0.0/7b6d24c4...",
    licence="CC BY-SA 4.0",
)
GLUE = Repository(
    name="nyu-mll/glue",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    seen="public code that loads mrpc/train-00000-of-00001.parquet at it",
    licence="other, by task",
)
TATOEBA = Repository(
    name="mteb/tatoeba-bitext-mining",
    revision="69e8f12da6e31d59addadda9a9c8a2e601a0e282",
    seen="embeddings-benchmark/mteb Tatoeba, and code that loads it by language at it",
    licence="terms of tatoeba.org",
)
UDPOS_27 = Repository(
    name="izhx/xtreme-r-udpos",
    revision="7e002378cc5704114200c479db0c592c7f77f8f8",
    seen="the repository's own list of commits",
    licence="Universal Dependencies 2.7, by treebank",
)
MEWSLI_X = Repository(
    name="izhx/mewsli-x",
    revision="7e3723faa15c6d84cfd56d66cf6cd347be8ad00e",
    seen="the repository's own list of commits",
    licence="Apache-2.0",
)
HELLASWAG = Repository(
    name="Rowan/hellaswag",
    revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
    seen="public code that loads data/validation-00000-of-00001.parquet at it",
    licence="MIT",
)
COMMONSENSE_QA = Repository(
    name="tau/commonsense_qa",
    revision="94630fe30dad47192a8546eb75f094926d47e155",
    seen="public code that loads data/train-00000-of-00001.parquet at it",
    licence="MIT as the hub states",
)
COSMOS_QA = Repository(
    name="allenai/cosmos_qa",
    revision="ed50fe83db62b355759053b1cd5eef344ee371e0",
    seen="public code that loads default/train/0000.parquet at it; the tip of refs/convert/parquet",
    licence="CC BY 4.0",
)
