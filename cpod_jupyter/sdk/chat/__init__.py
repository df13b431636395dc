"""Conversations with a deployment: what was said so far, pictures, tools, and what an answer took."""

from cpod_jupyter.sdk.asking import Answer
from cpod_jupyter.sdk.chat.conversation import ROUNDS, Call, Conversation, Turn
from cpod_jupyter.sdk.chat.images import image_url
from cpod_jupyter.sdk.chat.tools import Tools

__all__ = ["ROUNDS", "Answer", "Call", "Conversation", "Tools", "Turn", "image_url"]
